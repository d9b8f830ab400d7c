"""What a filter may ask of configuration entries: the fields of their kind, as the schema has them. Pure.

Belongs here: the way from a kind's schema to the shape that a filter is compiled for. Never here: a field.
"""

from functools import cache

from cluster.filters import shapes
from coordinator.entries.entry import KINDS
from coordinator.entries.scalars import Decimal, Duration, Flag, Shape, Text, Whole
from coordinator.entries.schema import ListOf, Object, TableOf

from .filtering import Filterable

_INDEXES = dict.fromkeys(("CreateIndex", "ModifyIndex"), shapes.WHOLE)
_SINGLES: dict[type, shapes.Shape] = {
    Text: shapes.TEXT,
    Duration: shapes.TEXT,
    Whole: shapes.WHOLE,
    Decimal: shapes.DECIMAL,
    Flag: shapes.FLAG,
}


@cache
def entry_rows(kind: str) -> Filterable:
    """Entries of this kind; of one that we do not have yet there are none to ask about."""
    if kind not in KINDS:
        return Filterable(shape=shapes.ANYTHING)
    fields = {field.name: _shape(field.shape) for field in KINDS[kind].shape.fields}
    return Filterable(shape=shapes.Record(fields | _INDEXES))


def _shape(read: Shape) -> shapes.Shape:
    if isinstance(read, Object):
        return shapes.Record({field.name: _shape(field.shape) for field in read.fields})
    if isinstance(read, ListOf):
        return shapes.ListOf(_shape(read.shape))
    if isinstance(read, TableOf):
        return shapes.MapOf(_shape(read.shape))
    return _SINGLES.get(type(read), shapes.ANYTHING)

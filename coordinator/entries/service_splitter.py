"""The kind `service-splitter`: which share of the requests to a service goes where.

Belongs here: its fields, rules and the rounding of weights (consul-gateways.md 6.5). Never here: how
splitters that lead to splitters become one (the discovery chain).
"""

import struct
from collections.abc import Iterator
from math import floor

from .header_modifiers import HEADERS
from .kind import Body, Kind, entry_shape, meta_rules, name_rules
from .report import Finding
from .scalars import Decimal, Tenancy, Text
from .schema import Field, ListOf, Object

HUNDREDTHS = 10_000  # of a percent: what all weights sum up to
_BOUND = 1_000_000.0  # far beyond what a rule lets pass, and far below what single precision holds

SPLIT = Object(
    Field(name="Weight", shape=Decimal(), keep=True),
    Field(name="Service", shape=Text()),
    Field(name="ServiceSubset", shape=Text()),
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Partition", shape=Tenancy("partition")),
    *HEADERS,
)


def hundredths(weight: float) -> int:
    """A weight in hundredths of a percent, half a hundredth rounded up.

    Consul holds weights in 32 bits, and so do we before rounding: 0.005 is a little less there.
    """
    bounded = min(max(weight, -_BOUND), _BOUND)
    return floor(_single(_single(bounded) * 100) + 0.5)


def normal_weight(weight: float) -> float | int:
    """The weight rounded to 0.01, a whole one without a fraction, as Consul shows it."""
    whole, rest = divmod(hundredths(weight), 100)
    return whole if rest == 0 else (whole * 100 + rest) / 100


def _single(number: float) -> float:
    """The nearest number that IEEE 754's single precision holds."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


def _normalise(body: Body) -> Body:
    splits = [split | {"Weight": normal_weight(split.get("Weight", 0))} for split in _splits(body)]
    return body | {"Splits": splits}


def _splits(body: Body) -> list[Body]:
    splits: list[Body] = body.get("Splits", [])
    return splits


def _rules(body: Body) -> Iterator[Finding]:
    yield from name_rules(body)
    if not body["Splits"]:
        yield Finding("Splits", "no splits configured")
    first: dict[tuple[str, str], int] = {}
    for index, split in enumerate(body["Splits"]):
        target = (split.get("Service") or body.get("Name", ""), split.get("ServiceSubset", ""))
        if not 0 <= split["Weight"] <= 100:
            message = f"{split['Weight']} is not between 0 and 100"
            yield Finding(f"Splits[{index}].Weight", message)
        if first.setdefault(target, index) != index:
            message = f"split destination occurs more than once, first as Splits[{first[target]}]"
            yield Finding(f"Splits[{index}]", message)
    total = sum(hundredths(split["Weight"]) for split in body["Splits"])
    if body["Splits"] and total != HUNDREDTHS:
        message = f"the sum of all split weights must be 100, found {normal_weight(total / 100)}"
        yield Finding("Splits", message)
    yield from meta_rules(body.get("Meta", {}))


SERVICE_SPLITTER = Kind(
    name="service-splitter",
    shape=entry_shape(Field(name="Splits", shape=ListOf(SPLIT))),
    normalise=_normalise,
    rules=_rules,
)

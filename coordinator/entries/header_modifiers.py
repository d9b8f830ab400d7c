"""`RequestHeaders` and `ResponseHeaders`: what a route, a split or an ingress gateway changes in headers.

Belongs here: their fields. Never here: applying them to a request.
"""

from .scalars import Text
from .schema import Field, ListOf, Object, TableOf

HEADER_MODIFIERS = Object(
    Field(name="Add", shape=TableOf()),
    Field(name="Set", shape=TableOf()),
    Field(name="Remove", shape=ListOf(Text())),
)

HEADERS = (
    Field(name="RequestHeaders", shape=HEADER_MODIFIERS),
    Field(name="ResponseHeaders", shape=HEADER_MODIFIERS),
)

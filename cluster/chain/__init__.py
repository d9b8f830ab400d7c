"""The discovery chain: from the entries about a service to where its requests and connections go.

Belongs here: Consul's compiler of routers, splitters and resolvers, as a pure function, and its outcome as
values. Never here: whether one entry is well formed, matching a request against a route, choosing an
endpoint, or where entries are kept.

Entries come in as they are stored: Consul's spelling, valid each by itself.
Source: Consul, "Discovery chain" and the configuration entries service-router, -splitter and -resolver.
"""

from .compile import Request, compile_chain
from .entries import Entries, entries_of
from .errors import ChainError
from .overrides import Overrides
from .values import Chain, Resolver, Route, Router, Split, Splitter, Subset, Target

__all__ = [
    "Chain",
    "ChainError",
    "Entries",
    "Overrides",
    "Request",
    "Resolver",
    "Route",
    "Router",
    "Split",
    "Splitter",
    "Subset",
    "Target",
    "compile_chain",
    "entries_of",
]

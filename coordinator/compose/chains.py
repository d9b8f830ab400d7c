"""Discovery chains out of the wanted state.

Belongs here: how the compiler finds the stored entries, and what is asked of a chain while composing. Never
here: a rule of chains (`cluster.chain`).
"""

from collections.abc import Callable

from cluster.chain import ChainError, Entries, Request, compile_chain
from cluster.chain.entries import GRAPH_KINDS, Body
from cluster.chain.protocol import service_protocol
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

# Neither has a say in a chain's protocol.
_SOMEWHERE = "dc1"
_DOMAIN = "consul"


def stored_entries(state: State) -> Entries:
    """The entries of this state, by kind and name."""

    def entry(kind: str, name: str) -> Body | None:
        record = state.get(ENTRIES, f"{kind}/{name}")
        return None if record is None else record.value

    return entry


def chain_protocols(state: State) -> Callable[[str], str]:
    """The protocol of any service's chain; empty for a chain that does not compile."""
    entries = stored_entries(state)

    def protocol(service: str) -> str:
        if not any(entries(kind, service) for kind in GRAPH_KINDS):
            return service_protocol(entries, service)
        request = Request(
            service=service, datacenter=_SOMEWHERE, trust_domain=_DOMAIN, entries=entries
        )
        try:
            return compile_chain(request).protocol
        except ChainError:
            return ""

    return protocol

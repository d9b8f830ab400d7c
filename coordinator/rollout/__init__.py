"""Who gets which snapshot when, as a pure machine: `step(state, event, now) -> (state, actions)`.

Belongs here: deciding what to offer to whom, and knowing who is behind, since when and why. Never here:
sockets, clocks or sleeping: `now` (seconds of one monotonic clock) comes in with each event, and what is to
be done comes out as values.

At most one offer is in flight to a node, and the newest snapshot wins: a slow node gets what is newest when
it answers, never a backlog. Only another policy does not wait for the answer, as it may withdraw a
permission. What a node rejected is not offered to it again before a deadline in the state,
unless the content changes. The tests are transcripts of events and exact actions, as in etcd's raft.
"""

from .actions import Action, Converged, Log, SendOffer
from .convergence import Convergence, percentile
from .events import (
    Acked,
    Event,
    Nacked,
    NodeGone,
    NodeHello,
    Published,
    StatusReceived,
    Tick,
)
from .machine import step
from .state import Current, Limits, Node, NodeState, Rollout, behind, node_state, offer

__all__ = [
    "Acked",
    "Action",
    "Converged",
    "Convergence",
    "Current",
    "Event",
    "Limits",
    "Log",
    "Nacked",
    "Node",
    "NodeGone",
    "NodeHello",
    "NodeState",
    "Published",
    "Rollout",
    "SendOffer",
    "StatusReceived",
    "Tick",
    "behind",
    "node_state",
    "offer",
    "percentile",
    "step",
]

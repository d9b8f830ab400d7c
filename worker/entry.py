"""One live connection, and each request of one that carries many: what it is, who let it in, its account.

Belongs here: the entry. Never here: who else is here (`worker.live`), sockets, or decisions
(`cluster.authorize`). The present comes in as an argument.

An entry is ended by writing the reason down and then waking its task: whoever comes first is right.
"""

from collections.abc import Callable
from typing import Any

from cluster.authorize import Denied, Permit, reason_of
from cluster.intentions import Intention
from cluster.moments import format_moment
from cluster.names import ServiceName
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.relay.engine import Flow
from worker.relay.porter import Born
from worker.telemetry.metrics import ServiceMeters

#: The state of a connection that the engine dials and carries by itself; shown as `dial`, then `relay`.
LAUNCHED = "launched"
#: States in which the flow is ended, and not a task.
_FLOWING = frozenset({"relay", LAUNCHED})


class Entry:
    """One connection, from accept to account. Written by its own task only, but for `end`.

    `generation` is that of its accept, then that of the decision about it.
    """

    __slots__ = (
        "_cancel",
        "_counted_down",
        "_counted_up",
        "_leave",
        "anchors",
        "caller",
        "denied",
        "detail",
        "ended_by",
        "endpoint",
        "expires_at",
        "flow",
        "gateway",
        "generation",
        "kind",
        "meters",
        "number",
        "permit",
        "recheck",
        "server_name",
        "service",
        "started",
        "state",
        "strands",
    )

    def __init__(
        self, number: int, *, gateway: str, kind: str, generation: int, started: float
    ) -> None:
        self.number = number
        self.gateway = gateway
        self.kind = kind
        self.generation = generation
        self.started = started
        self.state = "hello"
        self.server_name = ""
        #: Who calls in the mesh's eyes, where that is known before anybody decides: a gateway itself.
        self.caller: ServiceName | None = None
        self.service: ServiceName | None = None
        self.permit: Permit | None = None
        self.denied: Denied | None = None
        self.endpoint: Endpoint | None = None
        self.expires_at = float("inf")
        #: The roots by which those were believed who proved who they are, by fingerprint.
        self.anchors: tuple[str, ...] = ()
        self.ended_by: End | None = None
        #: What its task said of the end, for people; empty where the end says all.
        self.detail = ""
        self.flow = Flow()
        self.meters: ServiceMeters | None = None
        #: The requests that are under way, where there may be many at once.
        self.strands: set[Strand] = set()
        #: Where each request is decided about, and not the connection as a whole: whether what is carried
        #: now is still permitted by the rules of this moment.
        self.recheck: Callable[[], bool] | None = None
        self._cancel: Callable[[], None] = _nothing
        self._leave: Callable[[], object] | None = None
        self._counted_up = 0
        self._counted_down = 0

    def on_end(self, cancel: Callable[[], None]) -> None:
        """How to wake the connection's task while it does not relay; at once if it was ended already."""
        self._cancel = cancel
        if self.ended_by is not None:
            cancel()

    def waits(self, leave: Callable[[], object] | None) -> None:
        """Nothing is under way, and `leave` ends it in order; None: something is again."""
        self._leave = leave

    def leave(self) -> None:
        """End this connection in order if nothing is under way."""
        if self._leave is not None:
            self._leave()

    def routed(self, service: ServiceName, server_name: str, meters: ServiceMeters) -> None:
        """The hello named a service: from now on it is counted there."""
        self.service = service
        self.server_name = server_name
        self.meters = meters
        meters.opened.inc()
        meters.active.inc()

    def led(
        self, service: ServiceName, server_name: str, endpoint: Endpoint, meters: ServiceMeters
    ) -> None:
        """A porter has accepted and routed it, and counted that."""
        self.service = service
        self.server_name = server_name
        self.endpoint = endpoint
        self.meters = meters
        self.state = LAUNCHED

    def follow(self, born: Born) -> None:
        """The porter carries it."""
        self.flow.show(born.counters)
        self.flow.attach(born.stop)

    def end(self, reason: End) -> bool:
        """End this connection, now. The first reason stands: True if it is this one."""
        if self.ended_by is not None:
            return False
        self.ended_by = reason
        if self.state in _FLOWING:
            self.flow.kill(reason)
        else:
            self._cancel()
        return True

    def decided(self, answer: Permit | Denied, generation: int) -> None:
        """Somebody has said whether it may go on, by the policy of this generation."""
        self.generation = generation
        if isinstance(answer, Permit):
            self.permit = answer
        else:
            self.denied = answer

    def let_go(self) -> None:
        """It is over: nothing of it is needed any more but what can be told of it."""
        self._cancel = _nothing
        self._leave = self.recheck = None

    def count_bytes(self) -> None:
        """Add what moved since the last call, so that a connection of hours is seen while it lives."""
        if self.meters is None:
            return
        up, down = self.flow.up_bytes, self.flow.down_bytes
        if up > self._counted_up:
            self.meters.bytes_up.inc(up - self._counted_up)
            self._counted_up = up
        if down > self._counted_down:
            self.meters.bytes_down.inc(down - self._counted_down)
            self._counted_down = down

    def describe(self, now: float) -> dict[str, Any]:
        """The entry as `lockgate connections list` shows it."""
        answer = self.permit or self.denied
        source = answer.source if answer else self.caller
        return {
            "gateway": self.gateway,
            "kind": self.kind,
            "source": str(source) if source else "",
            "destination": str(self.service) if self.service else "",
            "sni": self.server_name,
            "endpoint": str(self.endpoint) if self.endpoint else "",
            "state": self._shown_state(),
            "age_seconds": round(now - self.started, 3),
            "bytes_up": self.flow.up_bytes,
            "bytes_down": self.flow.down_bytes,
            "generation": self.generation,
        }

    def describe_decision(self) -> dict[str, Any]:
        """Who decided what, for `lockgate explain`; `allowed` is None if nobody has."""
        answer = self.permit or self.denied
        decision = answer.decision if answer else None
        rule = decision.rule if decision else None
        reason = "nobody has decided about it"
        if isinstance(answer, Denied):
            reason = answer.reason
        elif decision is not None:
            reason = reason_of(decision)
        return {
            "allowed": None if answer is None else answer is self.permit,
            "rule": None if rule is None else _shown_rule(rule),
            "default": decision is not None and decision.by_default,
            "precedence": rule.precedence if rule else 0,
            "reason": reason,
        }

    def _shown_state(self) -> str:
        if self.state != LAUNCHED:
            return self.state
        return "relay" if self.flow.has_reached else "dial"


class Strand(Entry):
    """One request of several that a connection carries at once: permitted, and ended, by itself."""

    __slots__ = ("_whole",)

    def __init__(self, whole: Entry) -> None:
        super().__init__(
            whole.number,
            gateway=whole.gateway,
            kind=whole.kind,
            generation=whole.generation,
            started=whole.started,
        )
        self.state = whole.state
        self.flow = whole.flow
        self._whole = whole

    def begin(self, cancel: Callable[[], None]) -> None:
        """A request is under way; `cancel` ends it."""
        whole = self._whole
        self.ended_by = None
        self.service, self.server_name = whole.service, whole.server_name
        self.meters = whole.meters
        self.on_end(cancel)
        whole.strands.add(self)

    def over(self) -> None:
        """It is over; the connection is shown as what it carried last."""
        whole = self._whole
        whole.strands.discard(self)
        whole.service, whole.endpoint = self.service, self.endpoint
        self.on_end(_nothing)

    def routed(self, service: ServiceName, server_name: str, meters: ServiceMeters) -> None:
        """The connection is counted where its first request goes."""
        if self._whole.meters is None:
            self._whole.routed(service, server_name, meters)
        self.service, self.server_name, self.meters = service, server_name, meters


def _nothing() -> None:
    """There is nobody to wake."""


def _shown_rule(rule: Intention) -> dict[str, Any]:
    shown = {
        "SourceName": str(rule.source),
        "DestinationName": str(rule.destination),
        "Action": "" if rule.permissions else rule.action.value,
        "Precedence": rule.precedence,
        "Description": rule.description,
        "ExpiresAt": format_moment(rule.expires_at) if rule.expires_at else "",
    }
    return {name: value for name, value in shown.items() if value != ""}

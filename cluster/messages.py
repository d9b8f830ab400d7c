"""The wire protocol of the bus: what coordinator, node and worker say to each other, versioned.

Belongs here: the messages and their framing. Never here: who sends what when (`coordinator.rollout`,
`worker.node`, `worker.control`) or sockets (`cluster.bus`).

A body is `msgpack([WIRE_VERSION, message])`. Unknown fields are ignored, so that a field may be added
within a version; anything else needs a new version, and a peer of another version is told so and refused.
Version 2 has snapshots in shards: whoever knew only whole sections would take what is left for all there is.
"""

from typing import Any

import msgspec

from cluster.certs import Leaf
from cluster.codec import MAX_BYTES, decode, encode
from cluster.errors import Problem, WireError
from cluster.probes import Probe, Verdict
from cluster.reasons import End
from cluster.snapshot import SnapshotId

WIRE_VERSION = 2


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first message of a node or worker after every (re)connect.

    `sender` is the node's name or the worker's index; `incarnation` is new for every process; `held` are
    the section digests it can build on.
    """

    sender: str
    incarnation: str
    software: str
    have: SnapshotId | None = None
    held: dict[str, str] = {}


class Offer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A snapshot to apply. Sections that the receiver holds by digest are left out of `sections`.

    `committed_at` is when the coordinator committed the change, in unix seconds.
    """

    id: SnapshotId
    manifest: dict[str, str]
    sections: dict[str, bytes]
    committed_at: float = 0.0


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Applied. A node says it when all its workers have."""

    id: SnapshotId


class Nack(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Not applied; the old snapshot stands.

    `unread`: what is in it has no part in that, nobody has looked at it; the receiver holds what it held.
    """

    id: SnapshotId
    problems: tuple[Problem, ...]
    unread: bool = False


class Sign(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Node to coordinator: please sign this CSR (PEM)."""

    request: int
    csr_pem: bytes
    renewal: bool = False


class Signed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer to `Sign`: a chain (PEM), or why not."""

    request: int
    chain_pem: bytes = b""
    error: str = ""


class Keys(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Node to worker only: every leaf with its key. Replaces what the worker had."""

    leaves: tuple[Leaf, ...]


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How one worker is. `missing_leaves` counts linked services that cannot be served yet, `revocations` the
    connections that were ended since its start because their permission was gone.
    """

    index: int
    pid: int
    generation: int = 0
    connections: int = 0
    restarts: int = 0
    missing_leaves: int = 0
    draining: bool = False
    revocations: int = 0


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Node to coordinator, on change and as a heartbeat. `problems`: what of `have` it cannot serve."""

    node: str
    engine: str
    have: SnapshotId | None = None
    workers: tuple[WorkerStatus, ...] = ()
    metrics_address: str = ""
    draining: bool = False
    pid: int = 0
    problems: tuple[Problem, ...] = ()


class Register(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Node to coordinator: the service definitions of its configuration file, in Consul's spelling.

    They replace what this node registered this way before.
    """

    definitions: tuple[dict[str, Any], ...]


class Registered(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer to `Register`; without problems all of it is in the catalog."""

    problems: tuple[Problem, ...] = ()


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One time series of a worker: the sample's name, its labels in order of the family's, its value."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric family of a worker, as Prometheus' text format knows it."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


class Metrics(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Worker to node: what it counts, cumulative since it started.

    `is_news`: only the series that changed since the message before; otherwise all that there are.
    """

    index: int
    families: tuple[Family, ...]
    is_news: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask a node, or a worker, for one page of something; see `QUERIES`."""

    request: int
    what: str
    arguments: dict[str, str] = {}
    cursor: str = ""
    limit: int = 500


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One page; `cursor` continues it and is empty on the last."""

    request: int
    items: tuple[dict[str, Any], ...] = ()
    cursor: str = ""
    error: str = ""


class Close(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """End these live connections with this reason."""

    connections: tuple[str, ...]
    end: End = End.CLOSED_BY_OPERATOR


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stop accepting, let connections finish for so long, then leave."""

    grace_seconds: float


class Probes(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Coordinator to node: the checks to probe from now on, in place of those before.

    A conversation begins with none.
    """

    probes: tuple[Probe, ...]


class Verdicts(msgspec.Struct, frozen=True, kw_only=True, tag="Health"):
    """Node to coordinator: what its probes found lately, in order."""

    verdicts: tuple[Verdict, ...]


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Your message cannot be taken; `reason` says why, for your log."""

    reason: str


class Enrol(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A node that was let in by an enrolment token asks to be let in by its own key from now on."""

    public_key: str


class Enrolled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer: an empty `error` says that the token is used up and the key is on the list."""

    error: str = ""


#: What `Query.what` may be.
QUERIES = ("connections", "closed", "connection", "metrics")

Message = (
    Hello
    | Offer
    | Ack
    | Nack
    | Sign
    | Signed
    | Keys
    | WorkerStatus
    | NodeStatus
    | Register
    | Registered
    | Metrics
    | Query
    | Answer
    | Close
    | Drain
    | Probes
    | Verdicts
    | Enrol
    | Enrolled
    | Refusal
)


def pack(message: Message) -> bytes:
    return encode((WIRE_VERSION, message))


def unpack(body: bytes, *, max_bytes: int = MAX_BYTES) -> Message:
    """The message that a body holds. Raises `WireError` that names the version or the defect."""
    envelope = decode(tuple[int, dict[str, Any]], body, max_bytes=max_bytes)
    version, plain = envelope
    if version != WIRE_VERSION:
        raise WireError(f"the peer speaks wire version {version}, this is version {WIRE_VERSION}")
    try:
        message: Message = msgspec.convert(plain, Message, builtin_types=(bytes,), strict=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise WireError(f"not a known message: {error}") from error
    return message

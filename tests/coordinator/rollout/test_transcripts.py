"""The rollout as transcripts: commands, then exactly what the machine wants done.

A block is a command, `----`, and what came out, until an empty line. Lines that begin with # are comments.

    publish GEN DIGEST [ago=SECONDS] [policy=NAME]
                                        a snapshot was committed (ago seconds before) and published
    hello NODE [GEN:DIGEST]             a node (re)connected and has this
    ack|nack|unread NODE GEN:DIGEST [PROBLEM]
                                        unread: refused without a look at what is in it
    gone NODE
    status NODE [GEN:DIGEST] [draining]
    tick [SECONDS]                      so much time passes first
    show                                every node, who waits, what was measured

`UPDATE_GOLDEN=1` writes what comes out now; review it as a diff.
"""

import os
from pathlib import Path

import pytest

from cluster.errors import Problem
from cluster.messages import NodeStatus
from cluster.sections import Encoded
from cluster.snapshot import SnapshotId
from coordinator.rollout import (
    Acked,
    Converged,
    Log,
    Nacked,
    NodeGone,
    NodeHello,
    Published,
    Rollout,
    SendOffer,
    StatusReceived,
    Tick,
    node_state,
    offer,
    percentile,
    step,
)

FOLDER = Path(__file__).resolve().parents[2] / "transcripts" / "rollout"
FILES = sorted(FOLDER.glob("*.txt"))
UNIX = 1_000_000.0


def test_there_are_transcripts():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_transcript(path):
    written = path.read_text()
    played = _play(written)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(played)
    assert played == path.read_text()


def _play(written: str) -> str:
    player, blocks = Player(), []
    for block in written.strip().split("\n\n"):
        command, *_ = block.split("\n----")
        spoken = [line for line in command.splitlines() if not line.startswith("#")]
        if not spoken:
            blocks.append(command)
            continue
        (line,) = spoken
        blocks.append("\n".join([command, "----", *player.run(line.split())]))
    return "\n\n".join(blocks) + "\n"


def _id(text: str) -> SnapshotId:
    generation, _, digest = text.partition(":")
    return SnapshotId(epoch="e", generation=int(generation), digest=digest)


class _Named(Encoded, frozen=True, kw_only=True):
    """An encoded snapshot of two sections; `mesh` always differs from one to the other."""

    @property
    def digest(self) -> str:
        return self.manifest["mesh"]


def _encoded(digest: str, policy: str = "same") -> Encoded:
    manifest = {"mesh": digest, "policy": policy}
    return _Named(manifest=manifest, sections=dict.fromkeys(manifest, b""))


class Player:
    """Runs commands against the machine on a clock of its own."""

    def __init__(self) -> None:
        self.state = Rollout()
        self.now = 0.0

    def run(self, words):
        verb, *rest = words
        if verb == "show":
            return [*self._show()]
        return self._step(self._event(verb, rest)) or ["ok"]

    def _event(self, verb, rest):
        match verb, rest:
            case "publish", [generation, digest, *more]:
                options = dict(word.split("=") for word in more)
                ago = float(options.get("ago", 0))
                return Published(
                    id=_id(f"{generation}:{digest}"),
                    encoded=_encoded(digest, options.get("policy", "same")),
                    committed_at=UNIX + self.now - ago,
                    committed=self.now - ago,
                )
            case "hello", [node, *have]:
                held = _encoded(_id(have[0]).digest).manifest if have else {}
                return NodeHello(node=node, have=_id(have[0]) if have else None, held=held)
            case "ack", [node, identity]:
                return Acked(node=node, id=_id(identity))
            case "nack" | "unread", [node, identity, *why]:
                problems = (Problem(message=" ".join(why)),) if why else ()
                unread = verb == "unread"
                return Nacked(node=node, id=_id(identity), problems=problems, unread=unread)
            case "gone", [node]:
                return NodeGone(node=node)
            case "status", [node, *more]:
                have = [_id(word) for word in more if ":" in word]
                status = NodeStatus(
                    node=node,
                    engine="pure",
                    have=have[0] if have else None,
                    draining="draining" in more,
                )
                return StatusReceived(node=node, status=status)
            case "tick", seconds:
                self.now += float(seconds[0]) if seconds else 0.0
                return Tick()
        raise ValueError(f"unknown command: {verb} {rest}")

    def _step(self, event):
        self.state, actions = step(self.state, event, self.now)
        return [self._line(action) for action in actions]

    def _line(self, action) -> str:
        match action:
            case SendOffer():
                made = offer(self.state.current, self.state.nodes[action.node])
                return f"offer {_short(action.id)} to {action.node} with {_sections(made)}"
            case Converged():
                return f"converged {action.generation} in {action.seconds:g} s"
            case Log():
                return f"log {action.event} {action.node}: {action.detail}"

    def _show(self):
        for node in self.state.nodes.values():
            yield " ".join(self._describe(node))
        pending = self.state.convergence.pending
        for one in pending:
            yield f"generation {one.generation} waits for {', '.join(sorted(one.waiting))}"
        values = self.state.convergence.values
        if values:
            p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
            yield f"convergence p50={p50:g} p99={p99:g} last={values[-1]:g}"

    def _describe(self, node):
        yield f"{node.name} {node_state(self.state, node)} has {_short(node.have)}"
        if node.in_flight:
            yield f"in flight {_short(node.in_flight.id)}"
        if node.behind_since is not None:
            yield f"behind since {node.behind_since:g}"
        if node.rejected:
            yield f"rejected {node.rejected.digest} {node.rejected.times}x"
            yield f"until {node.rejected.until:g}"


def _short(identity) -> str:
    return f"{identity.generation}:{identity.digest}" if identity else "nothing"


def _sections(made) -> str:
    return " and ".join(sorted(made.sections)) or "no section"

"""The nodes, as the API sees them: how they are, what they carry, and telling them to stop it.

Belongs here: questions and orders of operators. Never here: HTTP, or deciding what nodes get.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
import trio

from cluster.errors import LockgateError
from cluster.messages import Answer, Close, Drain, NodeStatus, Query
from coordinator.distributor import Distributor, NotConnected
from coordinator.publisher import Publisher
from coordinator.rollout import Node, NodeState, Rollout, behind, node_state, percentile
from coordinator.rollout.convergence import Pending

#: A list longer than this helps nobody; narrow the question.
MAX_ITEMS = 10_000
_PAGE = 500

log = structlog.get_logger(__name__)


class QueryFailed(LockgateError):
    """A node that was asked by name did not answer, or answered with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the nodes answered, and one sentence for each part that is missing."""

    items: tuple[dict[str, Any], ...]
    missing: tuple[str, ...] = ()


class Fleet:
    """All nodes that ever said Hello to this coordinator."""

    def __init__(self, distributor: Distributor, publisher: Publisher, *, datacenter: str) -> None:
        self._distributor = distributor
        self._publisher = publisher
        self._datacenter = datacenter

    def status(self) -> dict[str, Any]:
        """The report of `lockgate status`, but for the coordinators.

        `problems` says why the wanted state is not what is published; empty is well.
        """
        rollout, current = self._distributor.rollout, self._publisher.current
        values = rollout.convergence.values
        return {
            "datacenter": self._datacenter,
            "generation": current.id.generation if current else 0,
            "digest": current.id.digest if current else "",
            "convergence_seconds": {
                "p50": percentile(values, 0.5),
                "p99": percentile(values, 0.99),
                "last": values[-1] if values else None,
            },
            "converging": [_converging(rollout, one) for one in rollout.convergence.pending],
            "problems": [str(problem) for problem in self._publisher.problems],
            "nodes": [self._node(node) for _, node in sorted(rollout.nodes.items())],
        }

    def _node(self, node: Node) -> dict[str, Any]:
        rejected, behind_since = node.rejected, node.behind_since
        refused = rejected.problems if rejected else ()
        state = node_state(self._distributor.rollout, node)
        status = node.status or NodeStatus(node=node.name, engine="")
        return {
            "name": node.name,
            "state": state.value,
            "generation": node.have.generation if node.have else 0,
            "engine": status.engine,
            "pid": status.pid,
            "metrics_address": status.metrics_address,
            "behind_seconds": (
                0.0 if behind_since is None else round(trio.current_time() - behind_since, 3)
            ),
            "refused_content": state is NodeState.NACKED and not (rejected and rejected.unread),
            "problems": list(
                dict.fromkeys(str(problem) for problem in (*refused, *status.problems))
            ),
            "workers": [_worker(worker) for worker in status.workers],
        }

    def refusals(self) -> Mapping[int, Mapping[str, tuple[str, ...]]]:
        """Which nodes refused which generation, and why, as far as this process knows."""
        return self._distributor.refusals

    async def query(
        self,
        what: str,
        arguments: Mapping[str, str],
        *,
        node: str | None = None,
        timeout_seconds: float = 2.0,
    ) -> list[dict[str, Any]]:
        """Everything that the connected nodes, or one of them, answer; at most `MAX_ITEMS`.

        What a node does not answer in time, or says with an error, is missing and logged, unless it was
        named: then QueryFailed is raised, or NotConnected.
        """
        if node is not None:
            items, missing = await self._ask(node, what, arguments, timeout_seconds)
            if missing:
                raise QueryFailed(missing)
            return items
        survey = await self.survey(what, arguments, timeout_seconds=timeout_seconds)
        return list(survey.items)

    async def survey(
        self, what: str, arguments: Mapping[str, str], *, timeout_seconds: float = 2.0
    ) -> Survey:
        """What all connected nodes answer, and what is missing of it."""
        found: dict[str, list[dict[str, Any]]] = {}
        absent: dict[str, str] = {}

        async def collect(name: str) -> None:
            try:
                found[name], missing = await self._ask(name, what, arguments, timeout_seconds)
            except NotConnected as error:
                missing = str(error)
            if missing:
                log.warning("an answer is not whole", node=name, reason=missing)
                absent[name] = missing

        async with trio.open_nursery() as nursery:
            for name in self._distributor.connected:
                nursery.start_soon(collect, name)
        items = [item for name in sorted(found) for item in found[name]]
        missing = [absent[name] for name in sorted(absent)]
        missing += [f"node {name!r} is not connected" for name in self._away()]
        if len(items) >= MAX_ITEMS:
            missing.append(f"more than {MAX_ITEMS} were found; the rest was not looked at")
        return Survey(items=tuple(items[:MAX_ITEMS]), missing=tuple(missing))

    def _away(self) -> list[str]:
        connected = set(self._distributor.connected)
        return sorted(name for name in self._distributor.rollout.nodes if name not in connected)

    async def close(self, connections: Sequence[str]) -> None:
        """End these live connections. Ids are `node/worker/number`. Raises NotConnected."""
        by_node: dict[str, list[str]] = {}
        for connection in connections:
            by_node.setdefault(connection.rsplit("/", 2)[0], []).append(connection)
        if missing := by_node.keys() - set(self._distributor.connected):
            raise NotConnected(f"not connected: {', '.join(sorted(missing))}")
        for name, ids in by_node.items():
            self._distributor.send(name, Close(connections=tuple(ids)))

    async def drain(self, node: str, grace_seconds: float) -> None:
        """Let a node finish what it carries and leave. Raises NotConnected."""
        self._distributor.send(node, Drain(grace_seconds=grace_seconds))

    async def _ask(
        self, node: str, what: str, arguments: Mapping[str, str], timeout_seconds: float
    ) -> tuple[list[dict[str, Any]], str]:
        """What a node answers, and why that is not all; "" if it is. Raises NotConnected."""
        found: list[dict[str, Any]] = []
        errors: list[str] = []
        with trio.move_on_after(timeout_seconds):
            cursor = ""
            while True:
                answer = await self._page(node, what, arguments, cursor)
                errors += [f"node {node!r}: {answer.error}"] if answer.error else []
                found += ({**item, "node": node} for item in answer.items)
                cursor = answer.cursor
                if not cursor or len(found) >= MAX_ITEMS:
                    return found[:MAX_ITEMS], "; ".join(errors)
        return found, f"node {node!r} did not answer within {timeout_seconds:g} s"

    async def _page(
        self, node: str, what: str, arguments: Mapping[str, str], cursor: str
    ) -> Answer:
        with self._distributor.questions.asking(node) as question:
            query = Query(
                request=question.request,
                what=what,
                arguments=dict(arguments),
                cursor=cursor,
                limit=_PAGE,
            )
            self._distributor.send(node, query)
            return await question.answer()


def _converging(rollout: Rollout, one: Pending) -> dict[str, Any]:
    """A generation that some node has not taken yet, and who: those that wait longest for anything first."""
    since = behind(rollout)
    return {
        "generation": one.generation,
        "seconds": round(trio.current_time() - one.committed, 3),
        "waiting": sorted(one.waiting, key=lambda node: (since.get(node, math.inf), node)),
    }


def _worker(worker: Any) -> dict[str, Any]:
    return {
        "index": worker.index,
        "pid": worker.pid,
        "generation": worker.generation,
        "connections": worker.connections,
        "restarts": worker.restarts,
        "missing_leaves": worker.missing_leaves,
        "draining": worker.draining,
    }

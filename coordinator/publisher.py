"""From committed changes to published snapshots: composed, kept in the history, then handed on.

Belongs here: when to compose and when to publish. Never here: what a snapshot holds (`coordinator.compose`),
or who gets it (`coordinator.rollout`).

The first change goes out at once, those that follow within 50 ms are joined, and a change of the intentions
never waits: it may withdraw a permission. Content that did not change is not published again. A state that
no whole snapshot can be made of, or only one too large to send, changes nothing but `problems`. Composing
happens in a thread, on a picture of the state that does not change.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from cluster.errors import Problem, SnapshotRejected
from cluster.sections import (
    MAX_SECTIONS_BYTES,
    Encoded,
    Whole,
    encode_whole,
    same_policy,
    size_problems,
)
from cluster.snapshot import SnapshotId, Trust
from coordinator.compose import Composed
from coordinator.metrics import Metrics
from coordinator.rollout import Published
from coordinator.store.history import StoredSnapshot
from coordinator.store.records import StoreError
from coordinator.store.state import State
from coordinator.store.tables import CA, CHECKS, ENTRIES, NODES, SERVICES
from coordinator.store.wanted import Wanted

#: What a snapshot is made of; commits to other tables are nobody's business here.
TABLES = (ENTRIES, NODES, SERVICES, CHECKS, CA)
JOIN_SECONDS = 0.05
RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Kept(Protocol):
    """Where snapshots are kept; see `coordinator.store.history.History`."""

    epoch: str

    async def save(
        self,
        *,
        generation: int,
        digest: str,
        epoch: str,
        encoded: Encoded,
        at: float,
        revision: int,
    ) -> None: ...

    async def latest(self) -> StoredSnapshot | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment on both clocks: seconds since 1970, and trio's."""

    unix: float
    trio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A composed snapshot and the last revision that it takes in."""

    encoded: Encoded
    index: int


class Commits:
    """Since when there are commits that nobody has composed."""

    def __init__(self, wanted: Wanted, clock: Callable[[], float]) -> None:
        self._wanted = wanted
        self._clock = clock
        self._since: Moment | None = None
        self._happened = trio.Event()

    def now(self) -> Moment:
        return Moment(unix=self._clock(), trio=trio.current_time())

    async def watch(self) -> None:
        """Notice commits as they happen, also while somebody composes."""
        index = revision(self._wanted.state)
        while True:
            await self._wanted.wait_past(index, tables=TABLES, timeout_seconds=math.inf)
            index = revision(self._wanted.state)
            self.again()

    def again(self) -> None:
        """Something has to be composed."""
        self._since = self._since or self.now()
        self._happened.set()

    async def wait(self) -> None:
        """Return when there is one that was not taken."""
        await self._happened.wait()

    def take(self) -> Moment | None:
        """The moment of the first that was not taken; all are taken now."""
        taken, self._since = self._since, None
        self._happened = trio.Event()
        return taken


class Publisher:
    """Publishes for one datacenter. `current` is what was published last, `problems` why no newer is."""

    def __init__(
        self,
        *,
        wanted: Wanted,
        history: Kept,
        compose: Callable[[State, Trust], Composed],
        trust: Callable[[], Trust],
        publish: Callable[[Published], None],
        metrics: Metrics,
        clock: Callable[[], float],
        join_seconds: float = JOIN_SECONDS,
        max_bytes: int = MAX_SECTIONS_BYTES,
    ) -> None:
        self.current: Published | None = None
        self._whole: Whole | None = None
        self.problems: tuple[Problem, ...] = ()
        self._wanted = wanted
        self._history = history
        self._compose = compose
        self._trust = trust
        self._publish_call = publish
        self._metrics = metrics
        self._commits = Commits(wanted, clock)
        self._join_seconds = join_seconds
        self._max_bytes = max_bytes
        self._not_before = -math.inf

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Publish what is, then every change. Started when there is something to offer."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._commits.watch)
            await self._resume()
            task_status.started()
            while True:
                await self._commits.wait()
                await self._round()

    def again(self) -> None:
        """Compose once more: the same state may amount to something else at this time."""
        self._commits.again()

    async def _resume(self) -> None:
        """Take up the last snapshot; it stands if it is still what comes out, or if nothing does."""
        stored = await self._history.latest()
        if stored is not None and stored.encoded.digest != stored.published.digest:
            stored = None
        last = None if stored is None else stored.encoded
        made = await self._make()
        now = self._commits.now()
        if stored is not None and last is not None:
            old = stored.published
            published = Published(
                id=SnapshotId(epoch=old.epoch, generation=old.generation, digest=old.digest),
                encoded=last,
                committed_at=old.at,
                committed=now.trio,
            )
            self.current = published
            if made is None or made.encoded.digest == old.digest:
                self._publish_call(published)
        if made is not None and self._differs(made):
            await self._keep_and_publish(made, now)

    async def _round(self) -> None:
        since = self._commits.take() or self._commits.now()
        made = await self._make()
        while made is not None and (wait := self._join(made)) > 0:
            with trio.move_on_after(wait) as nothing_more:
                await self._commits.wait()
            if nothing_more.cancelled_caught:
                break
            self._commits.take()
            made = await self._make()
        if made is not None and self._differs(made):
            await self._keep_and_publish(made, since)

    async def _make(self) -> Made | None:
        """A snapshot of the present; None, with the reasons in `problems`, if there is no whole one."""
        state, trust = self._wanted.state.snapshot(), self._trust()
        began = trio.current_time()
        try:
            composed, whole = await trio.to_thread.run_sync(
                lambda: _encoded(self._compose(state, trust), self._max_bytes, self._whole)
            )
        except SnapshotRejected as error:
            self._failed(error.problems)
            return None
        except (
            Exception
        ) as error:  # else the coordinator, with which the cause can be undone, would go
            log.exception("a bug kept a snapshot from being made")
            self._failed((Problem(message=f"a bug: {type(error).__name__}: {error}"),))
            return None
        self._metrics.compose_seconds.observe(trio.current_time() - began)
        self._say(composed.problems)
        self._whole = whole
        return Made(encoded=whole.encoded, index=revision(state))

    def _failed(self, problems: tuple[Problem, ...]) -> None:
        self._metrics.compose_failures.inc()
        self._say(problems)

    def _say(self, problems: tuple[Problem, ...]) -> None:
        if problems and problems != self.problems:
            told = [str(problem) for problem in problems]
            log.error("not all that is wanted can be served", problems=told)
        self.problems = problems

    def _differs(self, made: Made) -> bool:
        return self.current is None or made.encoded.digest != self.current.id.digest

    def _join(self, made: Made) -> float:
        """How many seconds to wait for more. None for what changes nothing, or who may talk to whom."""
        if self.current is None or not self._differs(made):
            return 0.0
        if not same_policy(made.encoded.manifest, self.current.encoded.manifest):
            return 0.0
        return self._not_before - trio.current_time()

    async def _keep_and_publish(self, made: Made, committed: Moment) -> None:
        """In the history first: what a node has was never published by nobody."""
        published = Published(
            id=self._next_id(made),
            encoded=made.encoded,
            committed_at=committed.unix,
            committed=committed.trio,
        )
        try:
            await self._save(published, made.index)
        except StoreError as error:
            self._say((Problem(message=f"the snapshot cannot be kept: {error}"),))
            await trio.sleep(RETRY_SECONDS)
            self._commits.again()
            return
        self.current = published
        self._not_before = trio.current_time() + self._join_seconds
        log.info("published", snapshot=str(published.id))
        self._publish_call(published)

    def _next_id(self, made: Made) -> SnapshotId:
        """The revision is the generation; a larger one if the same state composes differently today."""
        last = self.current.id.generation if self.current is not None else -1
        return SnapshotId(
            epoch=self._history.epoch,
            generation=max(made.index, last + 1),
            digest=made.encoded.digest,
        )

    async def _save(self, published: Published, index: int) -> None:
        await self._history.save(
            generation=published.id.generation,
            digest=published.id.digest,
            epoch=published.id.epoch,
            encoded=published.encoded,
            at=published.committed_at,
            revision=index,
        )


def _encoded(composed: Composed, max_bytes: int, before: Whole | None) -> tuple[Composed, Whole]:
    """Raises SnapshotRejected for one that no node could be sent."""
    whole = encode_whole(composed.snapshot, before)
    if found := size_problems(whole.encoded, max_bytes=max_bytes):
        raise SnapshotRejected(found)
    return composed, whole


def revision(state: State) -> int:
    """The last revision that touched what snapshots are made of."""
    return max(state.table_index(table) for table in TABLES)

"""The sidecar's certificate: a key that stays in this process, a request, and its renewal.

Belongs here: getting and renewing the leaf. Never here: what it is used for.
"""

import random
from collections.abc import Callable

import structlog
import trio

from cluster.certs import Leaf
from cluster.identity import ServiceId
from cluster.keys import csr_pem, new_key_pem, validity
from cluster.renewal import after_root_change, renew_at, retry_at
from worker.sidecar.api import Api, ApiError

log = structlog.get_logger()

_FIRST_RETRY_SECONDS = 1.0
#: Between two leaves, however short they live and whatever our clock thinks of them.
_LEAST_PAUSE_SECONDS = 1.0


class Identity:
    """Keeps one leaf fresh. `root_changed` asks for a new one soon."""

    def __init__(self, api: Api, chance: random.Random, wall_clock: Callable[[], float]) -> None:
        self._api = api
        self._chance = chance
        self._wall_clock = wall_clock
        self._due = trio.Event()
        self._at = float("inf")

    def root_changed(self) -> None:
        """The active root is another one: renew within half a minute."""
        self._at = after_root_change(self._wall_clock(), self._chance)
        self._due.set()

    async def keep(self, who: ServiceId, use: Callable[[Leaf], None]) -> None:
        """Fetch, hand to `use`, renew in time, for ever. The old leaf serves while a renewal fails.

        `use` raises ValueError for a leaf that is of no use.
        """
        held: Leaf | None = None
        while True:
            self._at = float("inf")  # a root that changes from now on calls for yet another leaf
            try:
                fetched = await self._fetch(who, renewal=held is not None)
                use(fetched)
            except (ApiError, ValueError) as error:
                log.warning("no certificate", service=who.service, error=str(error))
                await self._pause(held)
                continue
            held = fetched
            now = self._wall_clock()
            renewal = renew_at(held.not_before, held.not_after, now, self._chance)
            self._at = max(min(self._at, renewal), now + _LEAST_PAUSE_SECONDS)
            await self._wait_until_due()

    async def _fetch(self, who: ServiceId, *, renewal: bool) -> Leaf:
        """A leaf for a new key. Raises `ApiError` and ValueError."""
        key = new_key_pem()
        body = {"CSR": csr_pem(key, who.uri).decode(), "Renewal": renewal}
        answer, _ = await self._api.read("POST", "/v1/lockgate/connect/sign", json=body)
        if not isinstance(answer, dict) or not isinstance(answer.get("CertPEM"), str):
            raise ApiError("the coordinator's answer to a CSR holds no CertPEM")
        chain = answer["CertPEM"].encode()
        not_before, not_after = validity(chain)
        log.info("certificate", uri=who.uri, not_after=not_after)
        return Leaf(
            uri=who.uri, chain_pem=chain, key_pem=key, not_before=not_before, not_after=not_after
        )

    async def _pause(self, held: Leaf | None) -> None:
        if held is None:
            await trio.sleep(_FIRST_RETRY_SECONDS)
            return
        now = self._wall_clock()
        await trio.sleep(retry_at(now, self._chance) - now)

    async def _wait_until_due(self) -> None:
        """Until `_at`, which may come nearer meanwhile. A clock that jumps is looked at once a minute."""
        while (left := self._at - self._wall_clock()) > 0:
            self._due = trio.Event()
            with trio.move_on_after(min(left, 60.0)):
                await self._due.wait()

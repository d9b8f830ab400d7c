"""Certificate requests that are on their way to a coordinator, and their answers.

Belongs here: matching answers to requests. Never here: keys (`worker.node.keys`) or the link itself.
"""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from cluster.messages import Sign, Signed

from .keys.ring import SignError

_PATIENCE_SECONDS = 30.0


@dataclass(slots=True, kw_only=True, eq=False)
class _Request:
    arrived: trio.Event = field(default_factory=trio.Event)
    answer: Signed | None = None


class Signing:
    """`say` sends a message to the coordinator that is connected."""

    def __init__(self, say: Callable[[Sign], Awaitable[None]]) -> None:
        self._say = say
        self._connected = trio.Event()
        self._requests: dict[int, _Request] = {}
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """A coordinator is connected."""
        self._connected.set()

    def stop(self) -> None:
        """It is gone, and what it was asked will not be answered."""
        self._connected = trio.Event()
        for request in self._requests.values():
            request.arrived.set()

    def answered(self, signed: Signed) -> None:
        request = self._requests.get(signed.request)
        if request is not None:
            request.answer = signed
            request.arrived.set()

    async def sign(self, csr_pem: bytes, renewal: bool) -> bytes:
        """The chain for a request, both PEM; waits for a coordinator. Raises SignError."""
        await self._connected.wait()
        answer = await self._ask(csr_pem, renewal)
        if answer is None:
            raise SignError("the coordinator did not answer")
        if answer.error or not answer.chain_pem:
            raise SignError(answer.error or "the coordinator answered without a certificate")
        return answer.chain_pem

    async def _ask(self, csr_pem: bytes, renewal: bool) -> Signed | None:
        number, request = next(self._numbers), _Request()
        self._requests[number] = request
        try:
            with trio.move_on_after(_PATIENCE_SECONDS):
                await self._say(Sign(request=number, csr_pem=csr_pem, renewal=renewal))
                await request.arrived.wait()
        finally:
            del self._requests[number]
        return request.answer

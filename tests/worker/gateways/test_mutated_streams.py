"""Valid octets of HTTP/2 in any pieces, and damaged ones, at real listeners: answers, or an end in order.

As `test_mutated_requests`, for the other version: no worker stumbles, and a caller beside it is served.
"""

import contextlib

import pytest
import trio
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, HeadersFrame, RstStreamFrame

from tests.fakes.http2_client import split
from tests.fakes.rig import PATIENCE_SECONDS
from tests.worker.gateways.doors import HTTP_DOORS, OFFERED, opened
from tests.worker.gateways.test_mutated_requests import QUIET_SECONDS, holds
from tests.worker.http2.test_mutated import (
    CONVERSATIONS,
    CUTS,
    DAMAGE,
    PARTS,
    damaged_by,
    octets_of,
)

_RESET = next(part for part in PARTS if part.__name__ == "_reset")
_MALFORMED = next(part for part in PARTS if part.__name__ == "_malformed")


@pytest.fixture(params=HTTP_DOORS)
async def door(request, pki, tmp_path):
    async with opened(request.param, pki, tmp_path) as made:
        yield made


class Caller:
    """One connection, and the frames that came on it."""

    def __init__(self, stream):
        self.stream, self.data, self.is_ended = stream, b"", False

    async def send(self, octets, cuts):
        at = 0
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for size in cuts:
                await self.stream.send_all(octets[at : at + size])
                at += size
            await self.stream.send_all(octets[at:])

    async def receive(self):
        """What comes next; nothing at the end."""
        with contextlib.suppress(trio.BrokenResourceError):
            chunk = await self.stream.receive_some(65536)
            self.data += chunk
            self.is_ended = not chunk
            return
        self.is_ended = True

    def frames(self, kind):
        return [frame for frame, _ in split(self.data)[0] if isinstance(frame, kind)]

    def over(self):
        """The streams that were answered, or reset."""
        ended = (f for f in self.frames((HeadersFrame, RstStreamFrame)))
        return {frame.stream_id for frame in ended}


async def test_pieces_do_not_matter(door):
    @holds(8, CONVERSATIONS, CUTS)
    async def example(parts, cuts):
        caller = Caller(await door.open(*OFFERED))
        answered = {2 * at + 1 for at, part in enumerate(parts) if part is not _RESET}
        refused = {2 * at + 1 for at, part in enumerate(parts) if part is _MALFORMED}
        with trio.fail_after(PATIENCE_SECONDS):
            await caller.send(octets_of(parts), cuts)
            while not answered <= caller.over() and not caller.is_ended:
                await caller.receive()
        assert not caller.frames(GoAwayFrame)
        assert {frame.stream_id for frame in caller.frames(RstStreamFrame)} == refused
        await door.close(caller.stream)

    await trio.to_thread.run_sync(example)


async def test_damage_gets_an_answer_or_a_clean_end(door):
    async with door.beside() as beside:

        @holds(16, CONVERSATIONS, CUTS, DAMAGE)
        async def example(parts, cuts, damage):
            caller = Caller(await door.open(*OFFERED))
            with trio.fail_after(PATIENCE_SECONDS):
                await caller.send(damaged_by(octets_of(parts), damage), cuts)
                quiet = False
                while not quiet and not caller.is_ended:
                    with trio.move_on_after(QUIET_SECONDS) as waiting:
                        await caller.receive()
                    quiet = waiting.cancelled_caught
            codes = [frame.error_code for frame in caller.frames(GoAwayFrame)]
            assert len(codes) < 2
            assert ErrorCodes.INTERNAL_ERROR not in codes
            await door.close(caller.stream)
            await beside()
            await door.alone(1)
            assert door.ended("internal") == 0

        await trio.to_thread.run_sync(example)

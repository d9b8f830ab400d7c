"""Serial numbers: a counter that never gives one twice, whatever happens to the process.

Belongs here: counting. Never here: what is numbered. Numbers are reserved in the store by the block, so that
a leaf costs no commit; what is left of a block when the process ends is never used. The counter lies in a
table of its own, because its commits mean nothing to anybody else.
"""

import trio

from coordinator.store.records import Conflict, Expect, Put
from coordinator.store.tables import CA_SERIAL
from coordinator.store.wanted import Wanted

BLOCK = 1000
KEY = "next"


def first_unused(number: int) -> Put:
    """The change that says that all below `number` may be in use."""
    return Put(table=CA_SERIAL, key=KEY, value={"next": number})


class Serials:
    """The numbers 1, 2, 3, … in order, with gaps."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._turn = trio.Lock()
        self._next = self._end = 0

    async def next(self) -> int:
        """A number that was never given before. Raises StoreError."""
        async with self._turn:
            if self._next == self._end:
                await self._reserve()
            number = self._next
            self._next += 1
            return number

    async def _reserve(self) -> None:
        while True:
            present = self._wanted.state.get(CA_SERIAL, KEY)
            start = int(present.value["next"]) if present else 1
            expect = Expect(
                table=CA_SERIAL, key=KEY, modify_index=present.modify_index if present else 0
            )
            try:
                await self._wanted.commit([first_unused(start + BLOCK)], [expect])
            except Conflict:  # another coordinator took that block
                continue
            self._next, self._end = start, start + BLOCK
            return

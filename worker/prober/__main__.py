"""`python -I -m worker.prober`: probes on standard input, verdicts on standard output.

Belongs here: the two pipes. Never here: probing.
"""

import os
import random
import sys

import trio

from cluster.probes import Verdict
from worker.prober.lines import Lines, read_probes, verdict_line
from worker.prober.probing import verdict_of
from worker.prober.rounds import Rounds


async def run() -> None:
    """Work until the input ends."""
    told, said = trio.open_memory_channel[Verdict](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_say, said)
        rounds = Rounds(verdict_of, told.send, random.Random())
        lines = Lines()
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stream:
            async for data in stream:
                for line in lines.feed(data):
                    rounds.replace(read_probes(line), nursery)
        nursery.cancel_scope.cancel()


async def _say(said: trio.MemoryReceiveChannel[Verdict]) -> None:
    async with trio.lowlevel.FdStream(os.dup(sys.stdout.fileno())) as stream:
        async for verdict in said:
            await stream.send_all(verdict_line(verdict))


def main() -> None:
    try:
        trio.run(run)
    except* trio.BrokenResourceError:
        pass  # nobody reads us any more: the node is gone


if __name__ == "__main__":
    main()

"""monitor: the real program on a real socket, until Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import trio

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-m", "coordinator.cli"]


def started(address, *options):
    environment = os.environ | {"LOCKGATE_HTTP_ADDR": address}
    return subprocess.Popen(
        [*PROGRAM, "monitor", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )


async def test_events_are_printed_as_they_come_and_ctrl_c_ends_it_cleanly(admin, services):
    for options, first in (((), None), (("-format=json",), {"event": "ack", "node": "n1"})):
        monitor = started(admin, *options)
        try:
            with trio.fail_after(30):
                heard = await trio.to_thread.run_sync(monitor.stdout.readline)
                assert "listening" in heard
                services.monitor.tell("ack", node="n1", generation=7, detail="a\x1bb")
                line = await trio.to_thread.run_sync(monitor.stdout.readline)
            if first is None:
                assert line.split()[1:4] == ["ack", "node=n1", "generation=7"]
                assert "\x1b" not in line
            else:
                assert first.items() <= json.loads(line).items()
            monitor.send_signal(signal.SIGINT)
            out, err = await trio.to_thread.run_sync(monitor.communicate)
            assert (monitor.returncode, out, err) == (0, "", "")
            with trio.fail_after(30):
                while services.monitor._listeners:  # noqa: ASYNC110 - a socket closes
                    await trio.sleep(0.01)
        finally:
            monitor.kill()
            monitor.communicate()


async def test_it_ends_after_the_seconds_that_were_asked_for(admin):
    transport = httpx.AsyncHTTPTransport(uds=admin.removeprefix("unix://"))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/v1/lockgate/monitor", params={"seconds": "0.05"})
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        assert json.loads(answer.text)["event"] == "listening"
        for wrong in ("x", "-1", "nan", "inf"):
            refused = await client.get("/v1/lockgate/monitor", params={"seconds": wrong})
            assert refused.status_code == 400

"""HTTP/2 at the gateways: real clients in front, servers of HTTP/1.1 behind."""

import pytest
import trio

from tests.fakes.http import says
from tests.fakes.rig import PATIENCE_SECONDS
from tests.worker.gateways.test_ingress_requests import API, Site


@pytest.fixture
def site(front, pki, tmp_path):
    return Site(front, pki, tmp_path)


async def curl(*arguments):
    """What curl prints and the version and status it saw."""
    command = ["curl", "-sS", "-w", "\n%{http_version} %{response_code}", "--max-time", "10"]
    with trio.fail_after(PATIENCE_SECONDS):
        done = await trio.run_process(
            [*command, *arguments], capture_stdout=True, capture_stderr=True, check=False
        )
    assert done.returncode == 0, done.stderr
    body, _, seen = done.stdout.rpartition(b"\n")
    return body, seen.decode()


async def test_curl_speaks_http2_with_prior_knowledge(site, front):
    await site.start("api", says(b"hello", X_Mine="1"))
    await front.serve(site.service("api", API))
    url = f"http://127.0.0.1:{front.port}/a?b=c"
    got = await curl("--http2-prior-knowledge", "-H", f"Host: {API}", url)
    assert got == (b"hello", "2 200")

"""Requests that are made again: when, where, how often, and what never is."""

import pytest
import trio

from cluster.http.retries import BASE_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, pause_seconds
from tests.fakes.http import says
from tests.fakes.pki import server_context
from tests.fakes.rig import at, start_upstream
from tests.worker.gateways.test_ingress_requests import API, ask, entry
from tests.worker.gateways.test_ingress_requests import site as inside
from worker.http.repeats import HELD_BODY_BYTES

__all__ = ["inside"]


@pytest.fixture
def site(inside):
    return inside


def failing(times, how=503):
    """Answers so many requests with a status, or by hanging up, then well."""
    left = [times]

    def answer(message):
        left[0] -= 1
        if left[0] >= 0:
            return b"" if how is None else (how, [("Content-Length", "0")], b"")
        return 200, [("Content-Length", "2")], b"ok"

    return answer


def route(**destination):
    match = {"HTTP": {"PathPrefix": "/"}}
    return entry("service-router", "api", Routes=[{"Match": match, "Destination": destination}])


async def serve(site, front, answer, **destination):
    server = await site.start("api", answer)
    site.entries = [*site.entries, route(**destination)]
    await front.serve(site.service("api", API))
    return server


def retried(front, outcome):
    labels = {"gateway": "front", "service": "api", "outcome": outcome}
    return front.node.value("lockgate_http_retries_total", **labels)


@pytest.mark.parametrize(
    ("how", "conditions"),
    [
        (503, {"RetryOn": ["5xx"]}),
        (502, {"RetryOn": ["gateway-error"]}),
        (409, {"RetryOn": ["retriable-4xx"]}),
        (404, {"RetryOnStatusCodes": [404, 418]}),
        (None, {"RetryOn": ["reset"]}),
    ],
)
async def test_an_attempt_that_failed_is_made_again(site, front, how, conditions):
    server = await serve(site, front, failing(2, how), NumRetries=2, **conditions)
    client = await site.call()
    answer = await ask(client, API)
    assert (answer.status, answer.body) == (200, b"ok")
    assert len(server.seen) == 3
    assert retried(front, "made") == 2
    assert (await ask(client, API)).status == 200


async def test_the_limit_holds_and_the_last_answer_is_passed_on(site, front):
    server = await serve(site, front, failing(9, 503), NumRetries=2, RetryOn=["5xx"])
    assert (await ask(await site.call(), API)).status == 503
    assert len(server.seen) == 3
    assert (retried(front, "made"), retried(front, "limit")) == (2, 1)


@pytest.mark.parametrize(
    ("how", "destination"),
    [
        (503, {"NumRetries": 3}),  # without a condition
        (500, {"NumRetries": 3, "RetryOn": ["gateway-error"]}),
        (503, {"NumRetries": 3, "RetryOnConnectFailure": True}),
    ],
)
async def test_other_failures_are_passed_on(site, front, how, destination):
    server = await serve(site, front, failing(1, how), **destination)
    assert (await ask(await site.call(), API)).status == how
    assert len(server.seen) == 1
    assert retried(front, "made") == 0


async def test_another_instance_is_preferred(site, front):
    bad, good = await site.start("api", says(status=503)), await site.start("api", says(b"good"))
    site.entries = [route(NumRetries=1, RetryOn=["5xx"])]
    front.sets["connect:api"] = (bad.endpoint, good.endpoint)
    await front.serve(site.service("api", API))
    client = await site.call()
    for _ in range(10):
        assert (await ask(client, API)).body == b"good"
    assert len(bad.seen) == retried(front, "made") > 0


async def test_a_small_body_is_sent_again_as_it_was(site, front):
    body = bytes(range(256)) * 256
    assert len(body) == HELD_BODY_BYTES
    server = await serve(site, front, failing(1), NumRetries=1, RetryOn=["5xx"])
    answer = await (await site.call()).ask("POST", "/", body, Host=API)
    assert answer.status == 200
    assert [message.body for message in server.seen] == [body, body]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_streamed_body_is_never_sent_twice(site, front, chunked):
    server = await serve(site, front, failing(1), NumRetries=1, RetryOn=["5xx"])
    body = b"x" * (HELD_BODY_BYTES * 4)
    answer = await (await site.call()).ask("POST", "/", body, chunked=chunked, Host=API)
    assert answer.status == 503
    assert [len(message.body) for message in server.seen] == [len(body)]


async def test_a_body_that_waits_for_100_is_asked_for_and_sent_again(site, front):
    server = await serve(site, front, failing(1), NumRetries=1, RetryOn=["5xx"])
    client = await site.call()
    head = f"POST / HTTP/1.1\r\nHost: {API}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    await client.stream.send_all(head.encode())
    assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
    await client.stream.send_all(b"hello")
    assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 200 ")
    assert [message.body for message in server.seen] == [b"hello", b"hello"]


async def test_a_caller_that_goes_in_a_held_body_is_refused(site, front):
    server = await serve(site, front, says(), NumRetries=1, RetryOn=["5xx"])
    client = await site.call()
    head = f"POST / HTTP/1.1\r\nHost: {API}\r\nContent-Length: 5\r\n\r\nab"
    await client.stream.send_all(head.encode())
    await client.stream.send_eof()
    got, _ = await client.ended()
    assert got.startswith(b"HTTP/1.1 400 ")
    assert server.seen == []


async def test_the_time_is_for_all_attempts_together(site, front):
    gate = trio.Event()

    async def slow(stream):
        await stream.receive_some()
        await gate.wait()

    asked = await serve(site, front, failing(1), NumRetries=5, RetryOn=["5xx"], RequestTimeout="1s")
    context = server_context(site.folder, site.pki.service("api"), roots=site.pki.pem)
    silent = await start_upstream(front.nursery, slow, context)
    front.sets["connect:api"] = (asked.endpoint, silent.endpoint)
    await front.serve(site.service("api", API))
    client = await site.call()
    answers = {(await ask(client, API)).status for _ in range(4)}
    assert 504 in answers
    gate.set()


async def test_connecting_fails_and_is_tried_again(site, front):
    front.sets["connect:api"] = (at(1),)
    site.entries = [route(NumRetries=2, RetryOnConnectFailure=True)]
    await front.serve(site.service("api", API))
    assert (await ask(await site.call(), API)).status == 503
    assert (retried(front, "made"), retried(front, "limit")) == (2, 1)


async def test_nobody_to_ask_is_not_tried_again(site, front):
    front.sets["connect:api"] = ()
    site.entries = [route(NumRetries=2, RetryOnConnectFailure=True, RetryOn=["5xx"])]
    await front.serve(site.service("api", API))
    assert (await ask(await site.call(), API)).status == 503
    assert retried(front, "made") == 0


class Most:
    """The chance that makes every pause as long as it can be."""

    def random(self):
        return 1.0


def test_pauses_grow_to_a_bound():
    pauses = [pause_seconds(made, Most()) for made in range(8)]
    assert pauses[:2] == [BASE_PAUSE_SECONDS, 2 * BASE_PAUSE_SECONDS]
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE_SECONDS

"""The resolver against a real dnsmasq, and against servers that misbehave at will."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import dns.rcode
import pytest
import trio
import trio.testing

from worker.dial.answers import ResolveLimits
from worker.dial.resolve import Resolver, Unresolvable

SHORT = ResolveLimits(
    ttl_min_seconds=0.05,
    ttl_max_seconds=0.05,
    negative_seconds=0.05,
    retry_seconds=0.1,
    stale_seconds=0.5,
    server_seconds=0.1,
    query_seconds=0.3,
    stale_patience_seconds=0.1,
    other_family_seconds=0.1,
)
#: So long that a test which waits for them has failed.
LONG = {"server_seconds": 30.0, "query_seconds": 30.0, "other_family_seconds": 30.0}


@pytest.fixture
def idle_clock():
    """Time passes where nothing else happens, so a slow machine comes too late for nothing."""
    return trio.testing.MockClock(autojump_threshold=0.2)


@pytest.fixture
def still_clock():
    """Time passes by jumps; by itself so slowly that only what never comes is a failure."""
    return trio.testing.MockClock(rate=0.2)


def resolver(server, tmp_path, limits=None):
    return Resolver(
        hosts=str(tmp_path / "hosts"),
        resolv_conf=str(server.resolv_conf),
        port=server.port,
        limits=limits or ResolveLimits(**LONG),
    )


async def test_both_families_from_a_real_server(dnsmasq, tmp_path):
    dnsmasq.set("192.0.2.1 db.test", "192.0.2.2 db.test", "2001:db8::1 db.test")
    addresses = await resolver(dnsmasq, tmp_path).resolve("DB.test.")
    assert sorted(addresses) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert addresses[1] == "2001:db8::1"


async def test_an_alias_and_the_search_list(dnsmasq, tmp_path):
    dnsmasq.set("192.0.2.1 db.test", "192.0.2.9 short.search.test")
    found = resolver(dnsmasq, tmp_path)
    assert await found.resolve("alias.test") == ("192.0.2.1",)
    assert await found.resolve("short") == ("192.0.2.9",)


async def test_a_changed_address_is_picked_up_after_the_ttl(dnsmasq, tmp_path, still_clock):
    limits = ResolveLimits(**LONG, ttl_min_seconds=10.0)
    found = resolver(dnsmasq, tmp_path, limits=limits)
    dnsmasq.set("192.0.2.1 db.test")
    assert await found.resolve("db.test") == ("192.0.2.1",)
    dnsmasq.set("192.0.2.2 db.test")
    assert await found.resolve("db.test") == ("192.0.2.1",)  # not before its time
    still_clock.jump(limits.ttl_min_seconds)
    assert await found.resolve("db.test") == ("192.0.2.2",)


async def test_a_name_that_does_not_exist(dnsmasq, tmp_path):
    with pytest.raises(Unresolvable, match="no such name in DNS"):
        await resolver(dnsmasq, tmp_path).resolve("nobody.test")


async def test_a_name_that_appears_is_seen_soon(dnsmasq, tmp_path):
    found = resolver(dnsmasq, tmp_path, limits=SHORT)
    with pytest.raises(Unresolvable):
        await found.resolve("late.test")
    dnsmasq.set("192.0.2.3 late.test")
    with trio.fail_after(30):
        while True:
            try:
                assert await found.resolve("late.test") == ("192.0.2.3",)
                break
            except Unresolvable:
                await trio.sleep(0.02)


async def test_an_old_answer_outlives_a_server_that_died_but_not_for_ever(
    dnsmasq, tmp_path, still_clock
):
    dnsmasq.set("192.0.2.1 db.test")
    limits = dataclasses.replace(SHORT, **LONG, stale_seconds=60.0)
    found = resolver(dnsmasq, tmp_path, limits=limits)
    assert await found.resolve("db.test") == ("192.0.2.1",)
    dnsmasq.stop()
    still_clock.autojump_threshold = 0.1  # nobody else is left who could be slow
    started = trio.current_time()
    await trio.sleep(limits.ttl_max_seconds * 2)
    assert await found.resolve("db.test") == ("192.0.2.1",)
    await trio.sleep(limits.retry_seconds * 2)
    assert await found.resolve("db.test") == ("192.0.2.1",)
    await trio.sleep_until(started + limits.stale_seconds + 0.2)
    with pytest.raises(Unresolvable):
        await found.resolve("db.test")


async def test_nobody_waits_long_for_dns_while_an_old_answer_is_there(scripted, tmp_path):
    server = await scripted(lambda name, kind: ["192.0.2.1"] if kind == "A" else [])
    limits = dataclasses.replace(SHORT, **LONG, stale_seconds=60.0, retry_seconds=60.0)
    found = resolver(server, tmp_path, limits=limits)
    assert await found.resolve("db.test") == ("192.0.2.1",)
    server.reply = lambda name, kind: None
    await trio.sleep(0.06)
    started = trio.current_time()
    assert await found.resolve("db.test") == ("192.0.2.1",)
    assert 0.09 < trio.current_time() - started < limits.query_seconds
    asked = len(server.questions)
    assert await found.resolve("db.test") == ("192.0.2.1",)  # and for a while nobody asks again
    assert len(server.questions) == asked


async def test_silence_is_an_error_in_time(scripted, tmp_path):
    server = await scripted(lambda name, kind: None)
    started = trio.current_time()
    with pytest.raises(Unresolvable, match=r"no answer from DNS in 0\.3 s"):
        await resolver(server, tmp_path, limits=SHORT).resolve("db.test")
    assert trio.current_time() - started < 30


@pytest.mark.parametrize("code", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_a_failing_server_is_an_error_and_is_asked_again(
    scripted, tmp_path, idle_clock, code
):
    server = await scripted(lambda name, kind: code)
    found = resolver(server, tmp_path, limits=dataclasses.replace(SHORT, **LONG))
    with pytest.raises(Unresolvable, match=code.name):
        await found.resolve("db.test")
    server.reply = lambda name, kind: ["192.0.2.1"] if kind == "A" else []
    with pytest.raises(Unresolvable):
        await found.resolve("db.test")  # remembered for `retry_seconds`
    await trio.sleep(SHORT.retry_seconds)
    assert await found.resolve("db.test") == ("192.0.2.1",)


async def test_a_name_without_an_address(scripted, tmp_path):
    server = await scripted(lambda name, kind: [])
    with pytest.raises(Unresolvable, match="has no address in DNS"):
        await resolver(server, tmp_path).resolve("mail.test")


async def test_one_family_does_not_wait_long_for_the_other(scripted, tmp_path):
    server = await scripted(lambda name, kind: ["192.0.2.1"] if kind == "A" else None)
    started = trio.current_time()
    limits = dataclasses.replace(SHORT, **LONG | {"other_family_seconds": 0.1})
    found = resolver(server, tmp_path, limits=limits)
    assert await found.resolve("db.test") == ("192.0.2.1",)
    assert trio.current_time() - started < limits.query_seconds


async def test_tasks_that_ask_at_once_share_one_query(scripted, tmp_path):
    server = await scripted(lambda name, kind: ["192.0.2.1"] if kind == "A" else [])
    found = resolver(server, tmp_path)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(found.resolve, "db.test")
    assert sorted(server.questions) == [("db.test", "A"), ("db.test", "AAAA")]
    await found.resolve("other.test")
    assert len(server.questions) == 4


async def test_who_asked_first_may_be_cancelled(scripted, tmp_path):
    server = await scripted(lambda name, kind: None)
    found = resolver(server, tmp_path)
    got, first = [], trio.CancelScope()

    async def ask(scope):
        with scope:
            got.append(await found.resolve("db.test"))

    with trio.fail_after(30):
        async with trio.open_nursery() as asking:
            asking.start_soon(ask, first)
            await server.wait_asked(2)
            asking.start_soon(ask, trio.CancelScope())
            asking.start_soon(ask, trio.CancelScope())
            await trio.testing.wait_all_tasks_blocked(0.01)
            server.reply = lambda name, kind: ["192.0.2.1"] if kind == "A" else []
            first.cancel()
    assert got == [("192.0.2.1",)] * 2
    assert len(server.questions) == 4


async def test_the_hosts_file_comes_first_and_is_read_again(scripted, tmp_path):
    server = await scripted(lambda name, kind: ["192.0.2.1"] if kind == "A" else [])
    (tmp_path / "hosts").write_text("10.0.0.1 db.test\n::1 db.test\n")
    found = resolver(server, tmp_path)
    assert await found.resolve("db.test") == ("10.0.0.1", "::1")
    assert server.questions == []
    (tmp_path / "hosts").write_text("")
    assert await found.resolve("db.test") == ("192.0.2.1",)


async def test_a_changed_resolv_conf_is_read_again(scripted, tmp_path, idle_clock):
    server = await scripted(lambda name, kind: ["192.0.2.1"] if kind == "A" else [])
    server.resolv_conf.write_text("nameserver 127.0.0.2\n")  # nobody there
    found = resolver(server, tmp_path, limits=dataclasses.replace(SHORT, **LONG))
    with pytest.raises(Unresolvable, match="DNS"):
        await found.resolve("db.test")
    server.resolv_conf.write_text("nameserver 127.0.0.1\n")
    await trio.sleep(SHORT.retry_seconds)
    assert await found.resolve("db.test") == ("192.0.2.1",)


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, "é" * 60 + ".test"])
async def test_what_is_no_name_is_one_clear_error(scripted, tmp_path, name):
    server = await scripted(lambda name, kind: dns.rcode.NXDOMAIN)
    with pytest.raises(Unresolvable):
        await resolver(server, tmp_path, limits=SHORT).resolve(name)


async def test_an_address_needs_no_server(tmp_path):
    found = Resolver(hosts="/nonexistent", resolv_conf="/nonexistent")
    assert await found.resolve("2001:db8::1") == ("2001:db8::1",)
    with pytest.raises(Unresolvable, match="DNS"):
        await found.resolve("db.test")


async def test_what_is_remembered_is_bounded(scripted, tmp_path):
    server = await scripted(lambda name, kind: ["192.0.2.1"] if kind == "A" else [])
    found = resolver(server, tmp_path, limits=ResolveLimits(**LONG, max_names=3))
    for number in range(6):
        assert await found.resolve(f"db{number}.test") == ("192.0.2.1",)
    assert len(found._known) == 3


def test_asyncio_is_not_pulled_in(tmp_path):
    """dnspython has an asyncio half; under trio it must stay away."""
    code = (
        "import sys, trio\n"
        "from worker.dial import ResolveLimits, Resolver, Unresolvable\n"
        "async def main():\n"
        "    limits = ResolveLimits(query_seconds=0.1)\n"
        "    resolver = Resolver(hosts='/x', resolv_conf=sys.argv[1], port=1, limits=limits)\n"
        "    try: await resolver.resolve('db.test')\n"
        "    except Unresolvable: pass\n"
        "trio.run(main)\n"
        "sys.exit('dns._asyncio_backend' in sys.modules)\n"
    )
    (tmp_path / "conf").write_text("nameserver 127.0.0.1\n")
    command = [sys.executable, "-c", code, str(tmp_path / "conf")]
    root = Path(__file__).parents[3]
    assert subprocess.run(command, cwd=root, check=False).returncode == 0

"""What is said once everything serves."""

import random
from contextlib import closing

import pytest

from coordinator.dev.places import FreePorts, prepare, private_directory
from coordinator.dev.ready import Gateway
from coordinator.dev.show import describe, tell
from coordinator.dev.wanted import requests
from coordinator.entries.load import load_text

GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [{ Name = "db" }]'
EGRESS = Gateway(gateway="egress", kind="terminating-gateway", address="127.0.0.1:8443")


@pytest.fixture
def shown():
    with closing(FreePorts(random.Random(1))) as ports, private_directory() as root:
        places = prepare(root, None, None, ports)
        node = {"workers": [{"pid": 3}, {"pid": 4}]}
        return describe(places, [EGRESS], node, {"coordinator": 1, "node": 2})


def test_the_object_for_scripts(shown):
    assert set(shown) == {"admin", "http", "listeners", "metrics", "pids"}
    assert shown["admin"].startswith("unix:///")
    assert shown["http"].startswith("http://127.0.0.1:")
    assert shown["listeners"] == [
        {"gateway": "egress", "kind": "terminating-gateway", "address": "127.0.0.1:8443"}
    ]
    assert set(shown["metrics"]) == {"coordinator", "node"}
    assert shown["pids"] == {"coordinator": 1, "node": 2, "workers": [3, 4]}


@pytest.mark.parametrize("columns", ["40", "200"])
def test_no_address_is_cut_off_on_a_narrow_terminal(shown, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    tell(shown, requests(load_text("x.hcl", GATEWAY).items, "n", lambda: 1))
    told = capsys.readouterr().out
    for address in (shown["admin"], shown["http"], "127.0.0.1:8443", *shown["metrics"].values()):
        assert address in told
    assert f"  export LOCKGATE_HTTP_ADDR={shown['http']}\n" in told
    assert "  lockgate connect proxy -service web -upstream db:9191\n" in told


def test_without_a_gateway_there_is_less_to_try(shown, capsys):
    tell(shown | {"pids": {"workers": [3]}}, ())
    told = capsys.readouterr().out
    assert "1 worker." in told
    assert "lockgate status" in told
    assert "connect proxy" not in told

import json

import pytest

from coordinator.cli.expose import with_service
from coordinator.cli.options import Failure

GATEWAY = ("-ingress-gateway", "public")


async def test_a_service_is_exposed_and_may_be_reached(lockgate):
    web = ("connect", "expose", *GATEWAY, "-service", "web", "-port", "8080")
    done = await lockgate(*web)
    assert done.out.splitlines() == [
        "Successfully updated config entry for ingress service 'public'",
        "Successfully set up intention for 'public' -> 'web'",
    ]
    assert (await lockgate("intention", "check", "public", "web")).out == "Allowed\n"
    again = await lockgate(*web, "-format=json")
    assert again.json == {"gateway": "public", "service": "web", "intention_created": False}
    db = ("connect", "expose", *GATEWAY, "-service", "db", "-port")
    other = await lockgate(*db, "8080", "-protocol", "http", status=1)
    assert "speaks tcp already" in other.err
    full = await lockgate(*db, "8080", status=1)
    assert full.err.count("\n") == 1  # the coordinator's rule: one service on a tcp listener
    await lockgate(*db, "8081")
    entry = json.loads(
        (await lockgate("config", "read", "-kind", "ingress-gateway", "-name", "public")).out
    )
    assert [(one["Port"], one["Protocol"]) for one in entry["Listeners"]] == [
        (8080, "tcp"),
        (8081, "tcp"),
    ]


def test_hosts_are_added_and_what_is_there_is_kept():
    listener = {"Port": 80, "Protocol": "http", "Services": [{"Name": "web", "Hosts": ["a"]}]}
    entry = {"Kind": "ingress-gateway", "Name": "g", "Listeners": [listener], "ModifyIndex": 7}
    made = with_service(entry, "web", 80, "http", ("b", "a"))
    assert made["Listeners"][0]["Services"] == [{"Name": "web", "Hosts": ["a", "b"]}]
    assert "ModifyIndex" not in made
    assert listener["Services"] == [{"Name": "web", "Hosts": ["a"]}]
    made = with_service(entry, "api", 80, "http", ())
    assert [one["Name"] for one in made["Listeners"][0]["Services"]] == ["web", "api"]
    with pytest.raises(Failure, match="speaks http already"):
        with_service(entry, "api", 80, "grpc", ())

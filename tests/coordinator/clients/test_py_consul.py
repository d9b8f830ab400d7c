"""`py-consul`, the Python client that others wrote, against a real coordinator."""

import threading
import time

import consul
import pytest

from tests.harness.programs import wait_until

pytestmark = pytest.mark.slow
ALLOW = {"Kind": "service-intentions", "Sources": [{"Name": "web", "Action": "allow"}]}


@pytest.fixture
def client(server):
    found = consul.Consul(host="127.0.0.1", port=server.port)
    yield found
    found.http.session.close()


def test_the_catalog_takes_gives_and_forgets_an_external_service(client):
    service = {"service": "py-db", "id": "py-db-1", "tags": ["pg"], "port": 5432}
    check = {"name": "alive", "serviceid": "py-db-1", "status": "passing"}
    assert client.catalog.register(
        "py-outside", "10.0.0.7", service, check, node_meta={"zone": "a"}
    )
    assert "py-outside" in [n["Node"] for n in client.catalog.nodes(consistency="stale")[1]]
    assert client.catalog.services()[1]["py-db"] == ["pg"]
    _, (found,) = client.catalog.service("py-db", tag="pg", near="_agent")
    assert (found["ServiceID"], found["ServicePort"]) == ("py-db-1", 5432)
    assert client.catalog.node("py-outside")[1]["Services"]["py-db-1"]["Port"] == 5432
    assert client.catalog.connect("py-db")[1] == []
    assert client.catalog.datacenters() == ["dc1"]
    assert client.catalog.deregister("py-outside", service_id="py-db-1")
    assert client.catalog.service("py-db")[1] == []
    assert client.catalog.deregister("py-outside")
    assert client.catalog.node("py-outside")[1] is None


def test_a_service_of_the_agent_with_its_check(client):
    ttl = consul.Check.ttl("30s")
    assert client.agent.service.register("py-web", service_id="py-web-1", port=80, check=ttl)
    assert client.agent.services()["py-web-1"]["Port"] == 80
    assert client.agent.service_definition("py-web-1")["Service"] == "py-web"
    assert client.agent.checks()["service:py-web-1"]["Status"] == "critical"
    assert client.health.service("py-web", passing=True)[1] == []
    for tell, status in (
        (client.agent.check.ttl_warn, "warning"),
        (client.agent.check.ttl_fail, "critical"),
        (client.agent.check.ttl_pass, "passing"),
    ):
        assert tell("service:py-web-1", notes="as it is")
        (check,) = client.health.checks("py-web")[1]
        assert (check["Status"], check["Output"]) == (status, "as it is")
    assert len(client.health.service("py-web", passing=True)[1]) == 1
    assert client.agent.service.maintenance("py-web-1", True, "a rest")
    assert client.health.service("py-web", passing=True)[1] == []
    assert client.agent.service.maintenance("py-web-1", False)
    assert client.agent.service.deregister("py-web-1")
    assert "py-web-1" not in client.agent.services()


def test_a_check_of_its_own(client):
    http = consul.Check.http("http://127.0.0.1:1/", "10s", timeout="1s", header={"X": ["y"]})
    assert client.agent.check.register("py-http", http, check_id="py-http-1", notes="n")
    found = client.agent.checks()["py-http-1"]
    assert (found["Name"], found["Type"], found["Interval"]) == ("py-http", "http", "10s")
    assert found["Definition"]["Header"] == {"X": ["y"]}
    assert client.agent.check.deregister("py-http-1")
    assert "py-http-1" not in client.agent.checks()
    assert client.agent.maintenance(True, "all of it")
    assert "_node_maintenance" in client.agent.checks()
    assert client.agent.maintenance(False)


def test_who_waits_hears_of_the_next_change(client, server):
    """What consul-template does: ask with the last index, and get the change when it comes."""
    client.agent.service.register("py-wait", port=1, check=consul.Check.ttl("1m"))
    index, _ = client.health.service("py-wait", passing=True)
    heard = []

    def wait():
        other = consul.Consul(host="127.0.0.1", port=server.port)
        heard.append(other.health.service("py-wait", passing=True, index=index, wait="60s"))
        other.http.session.close()

    waiting = threading.Thread(target=wait)  # noqa: TID251 -- this client blocks its thread
    began = time.monotonic()
    waiting.start()
    client.agent.check.ttl_pass("service:py-wait")
    waiting.join(60)
    assert time.monotonic() - began < 30
    ((later, found),) = heard
    assert int(later) > int(index)
    assert len(found) == 1
    client.agent.service.deregister("py-wait")


def test_a_blocking_query_ends_with_its_wait(client):
    index, _ = client.health.state("any")
    assert client.health.state("any", index=index, wait="100ms")[0] == index


def test_a_check_that_is_not_told_expires(client):
    client.agent.service.register("py-ttl", port=1, check=consul.Check.ttl("1s"))
    client.agent.check.ttl_pass("service:py-ttl", notes="so far")
    check = wait_until(
        "the check is critical",
        lambda: next(
            (c for c in client.health.checks("py-ttl")[1] if c["Status"] == "critical"), None
        ),
    )
    assert check["Output"].startswith("TTL expired")
    assert "so far" in check["Output"]
    client.agent.service.deregister("py-ttl")


def test_intentions(client):
    intentions = client.connect.intentions
    assert intentions.check("web", "py-int") is False
    assert intentions.upsert("web", "py-int", action="allow", description="why")
    assert intentions.check("web", "py-int") is True
    assert intentions.read("web", "py-int")["Description"] == "why"
    assert [i["SourceName"] for i in intentions.match("destination", "py-int")["py-int"]] == ["web"]
    assert "py-int" in [i["DestinationName"] for i in intentions.list()]
    uri = "spiffe://x.consul/ns/default/dc/dc1/svc/web"
    assert client.agent.connect.authorize("py-int", uri, "1")["Authorized"] is True
    assert intentions.delete("web", "py-int")
    assert intentions.read("web", "py-int") is None


def test_configuration_entries(client):
    assert client.config.set("service-defaults", "py-conf", {"Protocol": "http"}) is True
    entry = client.config.get("service-defaults", "py-conf")
    assert entry["Protocol"] == "http"
    assert client.config.set("service-defaults", "py-conf", {}, cas=1) is False
    index = entry["ModifyIndex"]
    assert client.config.set("service-defaults", "py-conf", {"Protocol": "tcp"}, cas=index) is True
    assert "py-conf" in [e["Name"] for e in client.config.list("service-defaults")]
    assert client.config.delete("service-defaults", "py-conf")
    assert client.config.get("service-defaults", "py-conf") is None
    with pytest.raises(consul.ConsulException, match="Action"):
        client.config.set("service-intentions", "py-conf", {"Sources": [{"Name": "x"}]})


def test_the_ca_and_the_agent_itself(client):
    roots = client.connect.ca.roots()
    assert roots["Roots"][0]["Active"] is True
    assert client.agent.connect.ca.roots()["TrustDomain"] == roots["TrustDomain"]
    assert client.connect.ca.configuration()["Provider"] == "consul"
    assert client.agent.self()["Config"]["NodeName"] == "c1"
    assert client.agent.members()[0]["Name"] == "c1"
    assert client.agent.members(wan=True)[0]["Name"] == "c1.dc1"
    assert client.status.leader() in client.status.peers()
    assert any(g["Name"] == "lockgate_build_info" for g in client.agent.metrics()["Gauges"])
    assert "lockgate_build_info" in client.agent.metrics(format_prometheus=True)


def test_the_key_value_store(client):
    assert client.kv.put("py/a", "one", flags=7) is True
    assert client.kv.put("py/b/c", b"\x00\xff") is True
    index, found = client.kv.get("py/a")
    assert (found["Value"], found["Flags"], found["Key"]) == (b"one", 7, "py/a")
    assert client.kv.get("py/b/c")[1]["Value"] == b"\x00\xff"
    assert [one["Key"] for one in client.kv.get("py/", recurse=True)[1]] == ["py/a", "py/b/c"]
    assert client.kv.get("py/", keys=True, separator="/")[1] == ["py/a", "py/b/"]
    assert client.kv.put("py/a", "two", cas=0) is False
    assert client.kv.put("py/a", "two", cas=found["ModifyIndex"]) is True
    assert client.kv.get("py/a", index=index, wait="10s")[1]["Value"] == b"two"
    assert client.kv.delete("py/", recurse=True) is True
    assert client.kv.get("py/a")[1] is None

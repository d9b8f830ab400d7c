"""Which checks are probed, by whom, and how a definition is read."""

import pytest

from cluster.probes import MAX_OUTPUT_BYTES, ProbeKind
from coordinator.compose.linking import Link
from coordinator.health import probes
from coordinator.health.probes import Thresholds, assigned, probe_of, thresholds_of
from coordinator.store.records import Record
from coordinator.store.state import State


def state_of(**tables):
    records = {
        table: {
            key: Record(table=table, key=key, value=value, create_index=1, modify_index=2)
            for key, value in rows.items()
        }
        for table, rows in tables.items()
    }
    return State(2, records, dict.fromkeys(records, 2))


def gateway(name, port=8443):
    kind = "terminating-gateway"
    return {"ID": name, "Service": name, "Kind": kind, "Address": "10.0.0.1", "Port": port}


def check(definition, service="shop", **fields):
    return {"CheckID": "c", "Status": "critical", "ServiceID": service} | {
        "Definition": definition,
        **fields,
    }


TCP = {"TCP": "10.1.1.1:80", "Interval": "10s"}


def site(checks, *, links=("shop",), **more):
    """`egress` on gw1 and gw2, one outside instance of shop, and these checks."""
    entry = {"Kind": "terminating-gateway", "Name": "egress"}
    entry["Services"] = [name if isinstance(name, dict) else {"Name": name} for name in links]
    return state_of(
        entries={"terminating-gateway/egress": entry},
        nodes={name: {"Node": name, "Address": "10.0.0.9"} for name in ("gw1", "gw2", "out")},
        services={
            "gw1/egress": gateway("egress"),
            "gw2/egress": gateway("egress"),
            "out/shop": {"ID": "shop", "Service": "shop", "Port": 80},
        }
        | more.pop("services", {}),
        checks=checks,
        **more,
    )


def keys(state, connected=()):
    found = assigned(state, connected).by_node
    return {node: [probe.check for probe in probes] for node, probes in found.items()}


def test_each_host_of_a_linked_gateway_probes():
    state = site({"out/c": check(TCP)})
    assert keys(state) == {"gw1": ["out/c"], "gw2": ["out/c"]}


@pytest.mark.parametrize("links", [[], ["other"]])
def test_nothing_is_probed_where_nothing_is_linked(links):
    assert keys(site({"out/c": check(TCP)}, links=links)) == {}


def test_a_gateway_that_listens_nowhere_has_nobody_to_probe():
    state = site({"out/c": check(TCP)})
    services = {key: one for key, one in state.table("services").items() if key == "out/shop"}
    tables = {name: state.table(name) for name in ("entries", "nodes", "checks")}
    assert keys(State(2, {**tables, "services": services}, {})) == {}


def test_the_wildcard_links_too():
    assert keys(site({"out/c": check(TCP)}, links=["*"]))["gw1"] == ["out/c"]


def test_checks_of_the_synthetic_node_count_and_others_do_not():
    state = site(
        {
            "out/node": check(TCP, service=""),
            "out/other": check(TCP, service="unlinked"),
            "gw1/own": check(TCP, service=""),
            "out/ttl": check({"TTL": "10s"}),
            "out/none": {"CheckID": "none", "Status": "passing", "ServiceID": "shop"},
            "out/alias": check({"AliasService": "x"}),
            "out/empty": check({"HTTP": "", "TCP": None}),
            "out/odd": {"Status": "passing", "ServiceID": "shop", "Definition": "text"},
        }
    )
    assert keys(state) == {"gw1": ["out/node"], "gw2": ["out/node"]}


def test_sidecars_and_natives_are_not_dialled_and_so_asked_about_by_one_host():
    services = {
        "out/proxy": {"ID": "proxy", "Service": "shop", "Kind": "connect-proxy", "Port": 1},
        "out/native": {"ID": "native", "Service": "shop", "Connect": {"Native": True}},
    }
    checks = {f"out/{name}": check(TCP, service=name) for name in ("proxy", "native")}
    state = site(checks, services=services)
    assert keys(state) == {}
    assert keys(state, ["gw2"]) == {"gw2": ["out/native", "out/proxy"]}


def test_what_is_linked_stays_with_the_hosts_of_its_gateway():
    state = site({"out/c": check(TCP, Type="tcp")})
    assert keys(state, ["gw1", "other"]) == {"gw1": ["out/c"], "gw2": ["out/c"]}


def test_a_workloads_check_that_nobody_can_do_is_named():
    here = {"TCP": "localhost:80", "Interval": "10s"}
    checks = {
        "out/here": check(here, service="", Type="tcp"),
        "out/odd": check({"HTTP": "ftp://x"}, service="", Type="http"),
        "out/monitored": check(TCP, service="else"),
    }
    state = site(checks, links=[])
    assert assigned(state).refused == {}
    found = assigned(state, ["gw1"])
    assert found.by_node == {}
    assert found.refused == {
        "out/here": "localhost:80 means node 'out', which is not connected",
        "out/odd": "HTTP: 'ftp://x' is no http or https URL",
    }


def test_a_check_of_two_gateways_is_probed_once_per_host():
    second = {"Kind": "terminating-gateway", "Name": "second", "Services": [{"Name": "shop"}]}
    state = site({"out/c": check(TCP)}, services={"gw1/second": gateway("second", 8444)})
    entries = dict(state.table("entries"))
    entries["terminating-gateway/second"] = Record(
        table="entries", key="x", value=second, create_index=1, modify_index=2
    )
    tables = {name: state.table(name) for name in ("nodes", "services", "checks")}
    assert keys(State(2, {**tables, "entries": entries}, {})) == {
        "gw1": ["out/c"],
        "gw2": ["out/c"],
    }


def test_more_than_a_prober_takes_is_named(monkeypatch):
    monkeypatch.setattr(probes, "MOST_PROBES", 2)
    found = assigned(site({f"out/{at}": check(TCP) for at in range(3)}))
    assert {node: len(some) for node, some in found.by_node.items()} == {"gw1": 2, "gw2": 2}
    assert found.refused == {"out/2": "node 'gw2' has 2 checks to probe already"}


def read(definition, link=None, **fields):
    record = Record(
        table="checks",
        key="out/c",
        value=check(definition, **fields),
        create_index=1,
        modify_index=1,
    )
    plain = Link(gateway="egress", service="shop", create_index=1, modify_index=1)
    return probe_of(record, link or plain)


def test_an_http_check_as_consul_esm_writes_it():
    found = read(
        {
            "HTTP": "https://shop.example/health",
            "TLSServerName": "shop.internal",
            "TLSSkipVerify": True,
            "Method": "post",
            "Header": {"Authorization": ["Bearer x"], "X-A": ["1", "2"]},
            "Body": "hello",
            "IntervalDuration": "15s",
            "TimeoutDuration": 2_500_000_000,
            "DisableRedirects": True,
            "OutputMaxSize": 100,
        }
    )
    assert (found.check, found.kind, found.target) == (
        "out/c",
        ProbeKind.HTTP,
        "https://shop.example/health",
    )
    assert (found.interval_seconds, found.timeout_seconds) == (15.0, 2.5)
    assert (found.method, found.body, found.follow_redirects) == ("POST", "hello", False)
    assert found.headers == (("Authorization", "Bearer x"), ("X-A", "1"), ("X-A", "2"))
    assert (found.server_name, found.skip_verify) == ("shop.internal", True)
    assert found.output_bytes == 100


def test_what_is_not_said_is_consuls_default():
    found = read({"tcp": "10.1.1.1:80"})
    assert (found.kind, found.interval_seconds, found.timeout_seconds) == (ProbeKind.TCP, 30, 10)
    assert (found.tls, found.skip_verify, found.server_name) == (False, False, "")
    assert found.output_bytes == MAX_OUTPUT_BYTES
    assert read({"TCP": "h:1"}, Interval="20s", Timeout="3s").interval_seconds == 20
    assert read({"TCP": "h:1", "Interval": "10ms"}).interval_seconds == 1


@pytest.mark.parametrize(("name", "kind"), [("TCP", ProbeKind.TCP), ("GRPC", ProbeKind.GRPC)])
def test_tls_is_by_the_link_where_the_check_does_not_say(name, kind):
    link = Link(
        gateway="egress",
        service="shop",
        ca_file="/ca.pem",
        cert_file="/c.pem",
        key_file="/k.pem",
        sni="shop.example",
        create_index=1,
        modify_index=1,
    )
    found = read({name: "h:1", f"{name}UseTLS": True}, link)
    assert (found.kind, found.tls, found.ca_file) == (kind, True, "/ca.pem")
    assert (found.cert_file, found.key_file) == ("/c.pem", "/k.pem")
    assert found.server_name == "shop.example"
    assert read({name: "h:1", "TLSServerName": "own"}, link).server_name == "own"


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"HTTP": "ftp://x"}, "no http or https URL"),
        ({"HTTP": 7}, "http: '7' is not text"),
        ({"TCP": "h:1", "Interval": "soon"}, "interval"),
        ({"TCP": "h:1", "Interval": "-5s"}, "not positive"),
        ({"TCP": "h:1", "Timeout": []}, None),
        ({"TCP": "h:1", "Timeout": [1]}, "timeout"),
        ({"TCP": "h:1", "TLSSkipVerify": "yes"}, "not true or false"),
        ({"TCP": "h:1", "Header": ["a"]}, "not a table"),
        ({"TCP": "h:1", "Header": {"a": [1]}}, "is no text"),
        ({"TCP": "h:1", "OutputMaxSize": -1}, "negative"),
    ],
)
def test_a_definition_that_makes_no_sense_is_named_and_not_probed(definition, words):
    if words is None:
        assert read(definition).timeout_seconds == 10
        return
    with pytest.raises(ValueError, match=words):
        read(definition)
    found = assigned(site({"out/c": check(definition), "out/d": check(TCP)}))
    assert [one.check for one in found.by_node["gw1"]] == ["out/d"]
    assert words in found.refused["out/c"]


def test_thresholds():
    def of(definition):
        value = check(definition)
        return thresholds_of(
            Record(table="checks", key="n/c", value=value, create_index=1, modify_index=1)
        )

    assert of({"TCP": "h:1"}) == Thresholds()
    assert of({"FailuresBeforeCritical": 3, "SuccessBeforePassing": 2}) == Thresholds(
        success_before_passing=2, failures_before_warning=3, failures_before_critical=3
    )
    assert of({"FailuresBeforeCritical": 3, "FailuresBeforeWarning": 1}) == Thresholds(
        failures_before_warning=1, failures_before_critical=3
    )

"""Linking: explicit elements, the wildcard, and the rows that the catalog API shows."""

from coordinator.compose.linking import gateway_services, gateways_by_service, gateways_of


def _entry(*elements, name="egress"):
    return {"Kind": "terminating-gateway", "Name": name, "Services": list(elements)}


def _state(state_of, *elements, **services):
    return state_of(
        entries={"terminating-gateway/egress": _entry(*elements)},
        services={f"n1/{name}": {"Service": name} | extra for name, extra in services.items()},
    )


def _names(links):
    return [link.service for link in links]


def test_an_explicit_link_stays_without_an_instance(state_of):
    (link,) = gateway_services(_state(state_of, {"Name": "db"}))
    assert (link.gateway, link.service, link.from_wildcard) == ("egress", "db", False)
    assert link.tls is None


def test_the_wildcard_links_plain_services_only(state_of):
    links = gateway_services(
        _state(
            state_of,
            {"Name": "*", "CAFile": "/ca.pem"},
            db={},
            consul={},
            native={"Connect": {"Native": True}},
            proxy={"Kind": "connect-proxy", "Proxy": {"DestinationServiceName": "db"}},
            egress={"Kind": "terminating-gateway"},
            odd={"Kind": "from-the-future"},
        )
    )
    assert _names(links) == ["db"]
    assert links[0].from_wildcard
    assert links[0].tls is not None
    assert links[0].tls.ca_file == "/ca.pem"


def test_one_plain_instance_among_natives_is_enough(state_of):
    state = state_of(
        entries={"terminating-gateway/egress": _entry({"Name": "*"})},
        services={
            "n1/db": {"Service": "db", "Connect": {"Native": True}},
            "n2/db": {"Service": "db"},
        },
    )
    assert _names(gateway_services(state)) == ["db"]


def test_an_explicit_element_overrides_the_wildcards_completely(state_of):
    elements = ({"Name": "db", "SNI": "db.example"}, {"Name": "*", "CAFile": "/ca.pem"})
    links = gateway_services(_state(state_of, *elements, db={}, cache={}))
    assert _names(links) == ["cache", "db"]
    cache, db = links
    assert (db.ca_file, db.sni, db.from_wildcard) == ("", "db.example", False)
    assert (cache.ca_file, cache.from_wildcard) == ("/ca.pem", True)


def test_each_tls_setting_alone_means_tls(state_of):
    for field in ("CAFile", "CertFile", "KeyFile", "SNI"):
        (link,) = gateway_services(_state(state_of, {"Name": "db", field: "x"}))
        assert link.tls is not None


def test_rows_are_what_the_catalog_api_shows(state_of):
    elements = (
        {"Name": "*", "CAFile": "/ca.pem", "SNI": "s"},
        {"Name": "db", "DisableAutoHostRewrite": True},
    )
    rows = [link.row() for link in gateway_services(_state(state_of, *elements, cache={}))]
    assert rows == [
        {
            "Gateway": {"Name": "egress"},
            "Service": {"Name": "cache"},
            "GatewayKind": "terminating-gateway",
            "CAFile": "/ca.pem",
            "SNI": "s",
            "FromWildcard": True,
            "ServiceKind": "service",
            "AutoHostRewrite": True,
            "CreateIndex": 1,
            "ModifyIndex": 2,
        },
        {
            "Gateway": {"Name": "egress"},
            "Service": {"Name": "db"},
            "GatewayKind": "terminating-gateway",
            "CreateIndex": 1,
            "ModifyIndex": 2,
        },
    ]


def test_several_gateways_may_lead_to_one_service(state_of):
    state = state_of(
        entries={
            "terminating-gateway/b": _entry({"Name": "db"}, name="b"),
            "terminating-gateway/a": _entry({"Name": "db"}, {"Name": "x"}, name="a"),
            "service-defaults/db": {"Kind": "service-defaults", "Name": "db"},
        }
    )
    links = gateway_services(state)
    assert [(link.gateway, link.service) for link in links] == [
        ("a", "db"),
        ("a", "x"),
        ("b", "db"),
    ]
    assert gateways_by_service(links) == {"db": ("a", "b"), "x": ("a",)}


DESTINATION = {"Addresses": ["api.example.com"], "Port": 443}


def _with_destination(state_of, *elements, **services):
    defaults = {"Kind": "service-defaults", "Name": "saas", "Destination": DESTINATION}
    return state_of(
        entries={
            "terminating-gateway/egress": _entry(*elements),
            "service-defaults/saas": defaults,
            "service-defaults/db": {"Kind": "service-defaults", "Name": "db"},
        },
        services={f"n1/{name}": {"Service": name} | extra for name, extra in services.items()},
    )


def test_the_wildcard_links_destinations_too(state_of):
    state = _with_destination(state_of, {"Name": "*"}, db={})
    links = gateway_services(state)
    assert [(x.service, x.service_kind, x.from_wildcard) for x in links] == [
        ("db", "service", True),
        ("saas", "destination", True),
    ]
    assert gateways_of(state, "saas", is_linkable=False) == {"egress"}
    assert gateways_of(state, "db", is_linkable=True) == {"egress"}
    assert gateways_of(state, "db", is_linkable=False) == set()
    assert gateways_of(state, "other", is_linkable=False) == frozenset()


def test_a_registered_service_wins_over_a_destination_of_its_name(state_of):
    (link,) = gateway_services(_with_destination(state_of, {"Name": "*"}, saas={}))
    assert (link.service, link.service_kind) == ("saas", "service")


def test_an_explicit_link_tells_what_it_leads_to(state_of):
    elements = ({"Name": "saas"}, {"Name": "db"}, {"Name": "unknown"})
    links = gateway_services(_with_destination(state_of, *elements, db={}))
    assert [(x.service, x.service_kind) for x in links] == [
        ("db", "service"),
        ("saas", "destination"),
        ("unknown", ""),
    ]

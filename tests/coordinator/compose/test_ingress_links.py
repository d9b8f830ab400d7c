"""Ingress gateways: explicit services, the wildcard of a listener, and the rows that the catalog shows."""

from coordinator.compose.ingress_links import ingress_links

PROXY = {"Kind": "connect-proxy"}


def listener(port, protocol, *services):
    return {"Port": port, "Protocol": protocol, "Services": list(services)}


def state_with(state_of, listeners, protocols=None, more=(), **services):
    """`protocols` are those of service-defaults; each service has a sidecar unless it says otherwise."""
    gateway = {"Kind": "ingress-gateway", "Name": "in", "Listeners": listeners}
    defaults = [
        {"Kind": "service-defaults", "Name": name, "Protocol": protocol}
        for name, protocol in (protocols or {}).items()
    ]
    entries = {f"{body['Kind']}/{body['Name']}": body for body in (gateway, *defaults, *more)}
    instances = {
        f"n1/{name}": extra or PROXY | {"Service": f"{name}-proxy", "Proxy": _proxy(name)}
        for name, extra in services.items()
    }
    return state_of(entries=entries, services=instances)


def _proxy(name):
    return {"DestinationServiceName": name}


def told(links):
    return [(x.service, x.port, x.from_wildcard) for x in links]


def test_explicit_services_need_no_instance(state_of):
    listeners = [
        listener(8080, "http", {"Name": "web", "Hosts": ["w.test"]}, {"Name": "api"}),
        listener(9090, "tcp", {"Name": "db"}),
        listener(9091, "http", {"Name": "web"}),
    ]
    links = ingress_links(state_with(state_of, listeners))
    assert [link.row() for link in links[:2]] == [
        {
            "Gateway": {"Name": "in"},
            "Service": {"Name": "api"},
            "GatewayKind": "ingress-gateway",
            "Port": 8080,
            "Protocol": "http",
            "CreateIndex": 1,
            "ModifyIndex": 2,
        },
        {
            "Gateway": {"Name": "in"},
            "Service": {"Name": "db"},
            "GatewayKind": "ingress-gateway",
            "Port": 9090,
            "Protocol": "tcp",
            "CreateIndex": 1,
            "ModifyIndex": 2,
        },
    ]
    assert [(x.service, x.port, x.hosts) for x in links[2:]] == [
        ("web", 8080, ("w.test",)),
        ("web", 9091, ()),
    ]


def test_the_wildcard_covers_what_is_in_the_mesh_and_speaks_the_protocol(state_of):
    state = state_with(
        state_of,
        [listener(80, "http", {"Name": "*"})],
        {"web": "http", "native": "http", "plain": "http", "newer": "http2", "consul": "http"},
        web={},
        native={"Service": "native", "Connect": {"Native": True}},
        plain={"Service": "plain"},
        newer={},
        tcp={},
        consul={},
    )
    assert told(ingress_links(state)) == [("native", 80, True), ("web", 80, True)]
    assert ingress_links(state)[0].row()["FromWildcard"] is True


def test_the_protocol_is_that_of_the_chain(state_of):
    """`front` has none of its own; its splitter leads to services that speak HTTP."""
    splitter = {
        "Kind": "service-splitter",
        "Name": "front",
        "Splits": [{"Weight": 100, "Service": "web"}],
    }
    broken = {"Kind": "service-router", "Name": "broken", "Routes": []}
    state = state_with(
        state_of,
        [listener(80, "http", {"Name": "*"}), listener(81, "tcp", {"Name": "db"})],
        {"web": "http"},
        [splitter, broken],
        front={},
        web={},
        broken={},
    )
    assert told(ingress_links(state)) == [("db", 81, False), ("front", 80, True), ("web", 80, True)]


def test_a_named_service_keeps_its_own_element_beside_the_wildcard(state_of):
    services = [{"Name": "*"}, {"Name": "web", "Hosts": ["w.test"]}]
    state = state_with(
        state_of,
        [listener(80, "http", *services), listener(81, "http", {"Name": "*"})],
        {"web": "http", "api": "http"},
        web={},
        api={},
    )
    links = ingress_links(state)
    assert told(links) == [
        ("api", 80, True),
        ("api", 81, True),
        ("web", 80, False),
        ("web", 81, True),
    ]
    assert links[2].hosts == ("w.test",)


def test_without_listeners_there_are_no_links(state_of):
    assert ingress_links(state_with(state_of, [])) == ()

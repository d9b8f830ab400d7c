"""What a gateway leads to or exposes, as the catalog, the UI's endpoints and health show it."""

import pytest

INGRESS = {
    "Kind": "ingress-gateway",
    "Name": "in",
    "Listeners": [
        {"Port": 80, "Protocol": "http", "Services": [{"Name": "web", "Hosts": ["w.test"]}]},
        {"Port": 81, "Protocol": "http", "Services": [{"Name": "*"}]},
    ],
}
PROXIES = {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}
EGRESS = {"Kind": "terminating-gateway", "Name": "out", "Services": [{"Name": "db"}]}
WEB = {
    "Node": "n1",
    "Address": "10.0.0.1",
    "Service": {"Service": "web", "Tags": ["b", "a"], "Meta": {"external-source": "nomad"}},
    "Checks": [
        {"CheckID": "alive", "Name": "alive", "ServiceID": "web", "Status": "warning"},
        {"CheckID": "disk", "Name": "disk", "Status": "passing"},
    ],
}
SIDECAR = {
    "Node": "n1",
    "Address": "10.0.0.1",
    "Service": {
        "Service": "web-proxy",
        "Kind": "connect-proxy",
        "Port": 1,
        "Proxy": {"DestinationServiceName": "web"},
    },
}
GATEWAYS = [
    {
        "Node": node,
        "Address": "10.0.0.9",
        "Service": {"Service": name, "ID": f"{name}-{node}", "Kind": kind, "Port": 8443},
    }
    for node, name, kind in (
        ("g1", "in", "ingress-gateway"),
        ("g2", "in", "ingress-gateway"),
        ("g1", "other", "ingress-gateway"),
        ("g1", "out", "terminating-gateway"),
    )
]


@pytest.fixture
async def mesh(put):
    for entry in (PROXIES, INGRESS, EGRESS):
        await put("/v1/config", entry)
    await put("/v1/catalog/register", WEB)
    for registration in (SIDECAR, *GATEWAYS):
        await put("/v1/catalog/register", registration)


async def test_rows_of_an_ingress_gateway(mesh, get):
    rows = await get("/v1/catalog/gateway-services/in")
    shown = [(r["Service"]["Name"], r["Port"], r.get("Hosts"), "FromWildcard" in r) for r in rows]
    assert shown == [("web", 80, ["w.test"], False), ("web", 81, None, True)]
    assert await get("/v1/catalog/gateway-services/nobody") == []
    assert [row["GatewayKind"] for row in await get("/v1/catalog/gateway-services/out")] == [
        "terminating-gateway"
    ]


async def test_health_of_the_gateways_that_expose_a_service(mesh, get):
    found = await get("/v1/health/ingress/web")
    assert [one["Service"]["ID"] for one in found] == ["in-g1", "in-g2"]
    assert await get("/v1/health/ingress/db") == []


async def test_services_of_an_ingress_gateway_with_how_they_are(mesh, get):
    assert await get("/v1/internal/ui/gateway-services-nodes/in") == [
        {
            "Name": "web",
            "Datacenter": "dc1",
            "Tags": ["a", "b"],
            "Nodes": ["n1"],
            "ExternalSources": ["nomad"],
            "InstanceCount": 1,
            "ChecksPassing": 1,
            "ChecksWarning": 1,
            "ChecksCritical": 0,
            "GatewayConfig": {"Addresses": ["w.test:80", "web.ingress.dc1.consul:81"]},
            "TransparentProxy": False,
            "ConnectNative": False,
        }
    ]


async def test_a_linked_service_is_told_before_it_is_registered(mesh, get):
    (summary,) = await get("/v1/internal/ui/gateway-services-nodes/out")
    assert (summary["Name"], summary["InstanceCount"], summary["GatewayConfig"]) == ("db", 0, {})


async def test_intentions_towards_the_services_of_a_gateway(mesh, get, put):
    for destination, source in (("web", "a"), ("db", "b"), ("*", "c"), ("api", "d")):
        sources = [{"Name": source, "Action": "allow"}]
        entry = {"Kind": "service-intentions", "Name": destination, "Sources": sources}
        await put("/v1/config", entry)
    found = await get("/v1/internal/ui/gateway-intentions/in")
    assert [(one["SourceName"], one["DestinationName"]) for one in found] == [
        ("a", "web"),
        ("c", "*"),
    ]
    assert await get("/v1/internal/ui/gateway-intentions/nobody") == []


async def test_exported_services_are_resolved(put, get):
    assert await get("/v1/exported-services") == []
    for name in ("web", "api", "consul"):
        await put("/v1/catalog/register", WEB | {"Service": {"Service": name}, "Checks": []})
    await put("/v1/catalog/register", SIDECAR)
    services = [
        {"Name": "*", "Consumers": [{"Peer": "east"}]},
        {"Name": "web", "Consumers": [{"Peer": "west"}, {"Peer": "east"}]},
        {"Name": "later", "Consumers": [{"Peer": "west"}]},
    ]
    entry = {"Kind": "exported-services", "Name": "default", "Services": services}
    await put("/v1/config", entry)
    assert await get("/v1/exported-services") == [
        {"Service": "api", "Consumers": {"Peers": ["east"]}},
        {"Service": "later", "Consumers": {"Peers": ["west"]}},
        {"Service": "web", "Consumers": {"Peers": ["east", "west"]}},
    ]

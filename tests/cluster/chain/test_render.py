"""The exact shape in which Consul shows a chain: which empty fields are there, and which are not."""

from cluster.chain import Request, compile_chain, entries_of
from cluster.chain.render import rendered


def shown(*entries):
    request = Request(
        service="web", datacenter="dc1", trust_domain="td", entries=entries_of(entries)
    )
    return rendered(compile_chain(request))


def test_a_service_that_nobody_configured():
    key = "web.default.default.dc1"
    assert shown() == {
        "ServiceName": "web",
        "Namespace": "default",
        "Partition": "default",
        "Datacenter": "dc1",
        "Default": True,
        "Protocol": "tcp",
        "StartNode": f"resolver:{key}",
        "Nodes": {
            f"resolver:{key}": {
                "Type": "resolver",
                "Name": key,
                "Resolver": {"Default": True, "ConnectTimeout": "5s", "Target": key},
            }
        },
        "Targets": {
            key: {
                "ID": key,
                "Service": "web",
                "Namespace": "default",
                "Partition": "default",
                "Datacenter": "dc1",
                "MeshGateway": {},
                "Subset": {},
                "TransparentProxy": {},
                "ConnectTimeout": "5s",
                "SNI": "web.default.dc1.internal.td",
                "Name": "web.default.dc1.internal.td",
            }
        },
        "AutoVirtualIPs": [],
        "ManualVirtualIPs": [],
    }


def test_everything_that_may_be_told():
    split = {"Weight": 100, "ServiceSubset": "v1"}
    balancer = {"Policy": "maglev"}
    policy = {"Regions": ["r1"]}
    chain = shown(
        {"Kind": "service-defaults", "Name": "web", "Protocol": "http", "Meta": {"team": "a"}},
        {"Kind": "service-router", "Name": "web", "Routes": [{"Destination": {"NumRetries": 2}}]},
        {"Kind": "service-splitter", "Name": "web", "Splits": [split]},
        {
            "Kind": "service-resolver",
            "Name": "web",
            "RequestTimeout": "1s",
            "Subsets": {"v1": {"Filter": "f", "OnlyPassing": True}},
            "LoadBalancer": balancer,
            "Failover": {"*": {"Targets": [{"Peer": "east"}], "Policy": policy}},
        },
    )
    resolver = "v1.web.default.default.dc1"
    assert chain["ServiceMeta"] == {"team": "a"}
    assert "Default" not in chain
    assert chain["Nodes"] == {
        "router:web.default.default": {
            "Type": "router",
            "Name": "web.default.default",
            "Routes": [
                {
                    "Definition": {"Destination": {"NumRetries": 2}},
                    "NextNode": "splitter:web.default.default",
                },
                {
                    "Definition": {
                        "Match": {"HTTP": {"PathPrefix": "/"}},
                        "Destination": {
                            "Service": "web",
                            "Namespace": "default",
                            "Partition": "default",
                        },
                    },
                    "NextNode": "splitter:web.default.default",
                },
            ],
        },
        "splitter:web.default.default": {
            "Type": "splitter",
            "Name": "web.default.default",
            "Splits": [{"Definition": split, "Weight": 100, "NextNode": f"resolver:{resolver}"}],
            "LoadBalancer": balancer,
        },
        f"resolver:{resolver}": {
            "Type": "resolver",
            "Name": resolver,
            "Resolver": {
                "ConnectTimeout": "5s",
                "RequestTimeout": "1s",
                "Target": resolver,
                "Failover": {
                    "Targets": ["web.default.default.external.east"],
                    "Policy": policy,
                },
            },
            "LoadBalancer": balancer,
        },
    }
    assert chain["Targets"]["web.default.default.external.east"] == {
        "ID": "web.default.default.external.east",
        "Service": "web",
        "Namespace": "default",
        "Partition": "default",
        "Peer": "east",
        "MeshGateway": {},
        "Subset": {},
        "TransparentProxy": {},
        "ConnectTimeout": "5s",
    }
    assert chain["Targets"][resolver]["Subset"] == {"Filter": "f", "OnlyPassing": True}

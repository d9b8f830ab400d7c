"""Route tables of mesh and terminating gateways: which names they serve, and who is behind each.

A case says in words what there is; here that is built as registrations and entries, composed, and compiled by
a worker. What leads to other datacenters is left out on both sides: there is no federation. Where Consul asks
DNS for one host name, all are dialled, so of host names only the names and health are compared.
"""

import pytest

from cluster.routes import GatewayKind
from cluster.snapshot import SnapshotId, Trust
from coordinator.compose import compose
from coordinator.store.records import Record
from coordinator.store.state import State
from tests.fakes.pki import TRUST_DOMAIN, Pki
from worker.telemetry.metrics import Metrics
from worker.view.compile import Workshop, compile_view
from worker.view.contexts import ServerContexts

MESH = frozenset(
    {
        "mesh-gateway",
        "mesh-gateway-service-subsets",
        "mesh-gateway-default-service-subset",
        "mesh-gateway-hash-lb-ignored",
        "mesh-gateway-non-hash-lb-injected",
        "mesh-gateway-no-services",
    }
)
TERMINATING = frozenset(
    {
        "terminating-gateway",
        "terminating-gateway-service-subsets",
        "terminating-gateway-sni",
        "terminating-gateway-no-api-cert",
        "terminating-gateway-no-services",
    }
)
SUFFIX = f".default.dc1.internal.{TRUST_DOMAIN}"


@pytest.fixture(scope="module")
def pki():
    return Pki()


class World:
    """Registrations and entries of one case."""

    def __init__(self):
        self.nodes, self.services, self.checks, self.entries = {}, {}, {}, {}

    def register(self, node, address, status="passing", **service):
        self.nodes[node] = {"Node": node, "Address": address}
        self.services[f"{node}/{node}"] = {"ID": node, **service}
        self.checks[f"{node}/c"] = {"Status": status, "ServiceID": node, "CheckID": "c"}

    def write(self, kind, name, **body):
        self.entries[f"{kind}/{name}"] = {"Kind": kind, "Name": name, **body}

    def snapshot(self, pki):
        tables = {
            "nodes": self.nodes,
            "services": self.services,
            "checks": self.checks,
            "entries": self.entries,
        }
        records = {
            table: {
                key: Record(table=table, key=key, value=value, create_index=1, modify_index=2)
                for key, value in rows.items()
            }
            for table, rows in tables.items()
        }
        state = State(2, records, dict.fromkeys(records, 2))
        composed = compose(
            state, default_allow=True, trust=Trust(datacenter="dc1", bundle=pki.bundle)
        )
        assert composed.problems == ()
        return composed.snapshot

    def view(self, pki, *leaves):
        shop = Workshop(node="gw", metrics=Metrics(), contexts=ServerContexts())
        identity = SnapshotId(epoch="e", generation=1, digest="d")
        by_uri = {leaf.uri: leaf for leaf in map(pki.service, leaves)}
        (view,) = compile_view(shop, identity, self.snapshot(pki), by_uri).gateways.values()
        return view


def subsets(key):
    return {
        "v1": {"Filter": f"Service.Meta.{key} == 1"},
        "v2": {"Filter": f"Service.Meta.{key} == 2", "OnlyPassing": True},
    }


def expected(case):
    """Server name to its endpoints, or None for host names; without what is in other datacenters."""
    table = case["expect"]["ip_endpoints"]
    local = [name for name in case["expect"]["backend_sets"] if name.endswith(SUFFIX)]
    return {
        name: {(address, port, health == "HEALTHY") for address, port, health, _ in table[name]}
        if name in table
        else None
        for name in local
    }


def served(view):
    """The same of a compiled view."""
    return {
        name: {(one.address, one.port, one.healthy) for one in target.endpoints}
        for name, target in view.table.exact()
    }


@pytest.mark.cases("gateway_routes", name=MESH)
def test_mesh(case, pki):
    name, world = case["name"], World()
    world.register(
        "gw", "127.0.0.1", Service="mesh", Kind=GatewayKind.MESH.value, Port=8443, Address=""
    )
    for service, instances in case.get("known_instances", {}).items():
        for address, meta, status in instances if service != "note" else ():
            world.register(
                f"{service}-{address}",
                address,
                status,
                Service=f"{service}-proxy",
                Kind="connect-proxy",
                Proxy={"DestinationServiceName": service},
                Port=2222,
                Meta={"version": meta.removeprefix("meta version=")},
            )
    if name == "mesh-gateway-default-service-subset":
        for service in ("bar", "foo"):
            world.write("service-resolver", service, DefaultSubset="v2", Subsets=subsets("version"))
    elif "no-services" not in name and name != "mesh-gateway":
        key = "Version" if "v1" in str(case["expect"]) and _is_empty(case) else "version"
        policy = {"hash": "ring_hash", "non-hash": "least_request"}
        chosen = next((policy[one] for one in ("non-hash", "hash") if one in name), "")
        balancer = {"LoadBalancer": {"Policy": chosen}} if chosen else {}
        world.write("service-resolver", "bar", Subsets=subsets(key), **balancer)
    assert served(world.view(pki)) == expected(case)


def _is_empty(case):
    """The note of the cases: a filter by a key that no instance has selects nothing."""
    return case["expect"]["ip_endpoints"][f"v1.bar{SUFFIX}"] == []


@pytest.mark.cases("gateway_routes", name=TERMINATING)
def test_terminating(case, pki, tmp_path):
    name, world = case["name"], World()
    world.register("gw", "127.0.0.1", Service="egress", Kind="terminating-gateway", Port=8443)
    links = {} if "no-services" in name else _links(case, tmp_path)
    world.write("terminating-gateway", "egress", Services=list(links.values()))
    for service in links:
        _register(case, world, service)
    if "subsets" in name:
        world.write("service-defaults", "web", Protocol="http")
        world.write("service-resolver", "web", Subsets=subsets("version"))
        prod = {"prod": {"Filter": "Service.Meta.Env == prod"}}
        world.write("service-resolver", "cache", Subsets=prod)
    leaves = [one for one in links if not (one == "api" and "no-api-cert" in name)]
    view = world.view(pki, *leaves)
    routes = [route for route in case["expect"]["routes"] if route["server_names"]]
    assert {n: t.http is not None for n, t in view.table.exact()} == {
        server_name: route["l7"] for route in routes for server_name in route["server_names"]
    }
    wanted, found = expected(case), served(view)
    for server_name, target in view.table.exact():
        if wanted[server_name] is not None:
            assert found[server_name] == wanted[server_name]
        _check_tls(case["expect"]["backend_sets"][server_name], target)


def _check_tls(backend, target):
    tls = backend.get("upstream_tls")
    assert (target.origination is not None) == (tls is not None)
    if tls is not None:
        spelled = target.origination.tls
        assert spelled.server_name == (tls["sni"] or "")
        assert bool(spelled.cert_file) is tls["has_client_cert"]


def _links(case, folder):
    """As the case says: TLS files where the upstream is spoken to in TLS."""
    links = {}
    for service in ("web", "api", "db", "cache"):
        backend = case["expect"]["backend_sets"].get(f"{service}{SUFFIX}", {})
        link = {"Name": service}
        if tls := backend.get("upstream_tls"):
            link["CAFile"] = str(folder / "ca.pem")
            link |= {"SNI": tls["sni"]} if tls["sni"] else {}
            if tls["has_client_cert"]:
                link |= {"CertFile": str(folder / "c.pem"), "KeyFile": str(folder / "k.pem")}
        links[service] = link
    return links


def _register(case, world, service):
    if service == "web":
        for number in (1, 2):
            address = f"10.10.1.{number}"
            world.register(f"web{number}", address, Service="web", Port=8080, Meta=_version(number))
        return
    ((host, port, health),) = case["expect"]["backend_sets"][f"{service}{SUFFIX}"]["dns_endpoints"]
    status = "passing" if health == "HEALTHY" else "critical"
    world.register(service, host, status, Service=service, Port=port)


def _version(number):
    return {"version": str(number)}

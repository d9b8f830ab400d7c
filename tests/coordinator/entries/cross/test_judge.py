"""Writes and deletes judged among other entries: what each rule refuses, and whom it does not blame."""

import pytest

from coordinator.entries.cross import Index, judge


def defaults(name, protocol="http", **more):
    return {"Kind": "service-defaults", "Name": name, "Protocol": protocol, **more}


def proxies(protocol):
    return {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": protocol}}


def splitter(name, *services):
    splits = [{"Weight": 100 / len(services), "Service": one} for one in services]
    return {"Kind": "service-splitter", "Name": name, "Splits": splits}


def router(name, service="", subset=""):
    destination = {"Service": service, "ServiceSubset": subset}
    return {"Kind": "service-router", "Name": name, "Routes": [{"Destination": destination}]}


def resolver(name, **fields):
    return {"Kind": "service-resolver", "Name": name, **fields}


def redirect(name, service, **more):
    return resolver(name, Redirect={"Service": service, **more})


def ingress(name, protocol, *services, port=8080):
    listener = {"Port": port, "Protocol": protocol, "Services": [{"Name": s} for s in services]}
    return {"Kind": "ingress-gateway", "Name": name, "Listeners": [listener]}


def l7(name, provider=""):
    permission = {"Action": "allow", "HTTP": {"PathPrefix": "/"}}
    if provider:
        permission["JWT"] = {"Providers": [{"Name": provider}]}
    sources = [{"Name": "web", "Permissions": [permission]}]
    return {"Kind": "service-intentions", "Name": name, "Sources": sources}


def exports(*names):
    services = [{"Name": name, "Consumers": [{"Peer": "east"}]} for name in names]
    return {"Kind": "exported-services", "Name": "default", "Services": services}


def mesh(allowed):
    entry = {"Kind": "mesh", "Name": "mesh"}
    return entry | ({"AllowEnablingPermissiveMutualTLS": True} if allowed else {})


def of(kind, name):
    return {"Kind": kind, "Name": name}


def delete(kind, name):
    return {(kind, name): None}


def write(*bodies):
    return {(body["Kind"], body["Name"]): body for body in bodies}


V1 = {"Subsets": {"v1": {"Filter": "x"}}}
PERMISSIVE = defaults("api", "tcp", MutualTLSMode="permissive")
REFUSED = [
    # chains, also of those who only lead to what is changed
    ([], write(router("api")), "service-router/api: discovery chain api uses a protocol tcp"),
    ([defaults("api"), router("api")], delete("service-defaults", "api"), "does not permit"),
    ([proxies("http"), splitter("api", "api")], delete("proxy-defaults", "global"), "permit"),
    ([proxies("http"), splitter("api", "b")], write(proxies("tcp")), "does not permit advanced"),
    (
        [proxies("http"), splitter("web", "b")],
        write(redirect("b", "web", ServiceSubset="v9")),
        "v9",
    ),
    (
        [proxies("http"), router("web", "a"), splitter("a", "b"), splitter("b", "c")],
        write(defaults("c", "tcp")),
        "service-router/web: discovery chain web uses inconsistent protocols; service c has tcp",
    ),
    (
        [proxies("http"), resolver("api", **V1), router("web", "api", "v1")],
        write(resolver("api")),
        "service-router/web: service api does not have a subset named 'v1'",
    ),
    (
        [proxies("http"), resolver("api", **V1), router("web", "api", "v1")],
        delete("service-resolver", "api"),
        "service api does not have a subset named 'v1'",
    ),
    ([redirect("a", "b"), redirect("b", "c")], write(redirect("c", "a")), "circular resolver"),
    (
        [proxies("http"), splitter("a", "b"), splitter("b", "c")],
        write(splitter("c", "a")),
        "circular reference",
    ),
    (
        [redirect("web", "api")],
        write(defaults("web", "tcp", ExternalSNI="x.example")),
        "service-resolver/web: service web has an external SNI set",
    ),
    # ingress gateways
    ([], write(ingress("in", "http", "api")), "ingress-gateway/in: Listeners[0].Services[0]"),
    ([proxies("http")], write(ingress("in", "tcp", "api")), "does not match the protocol tcp"),
    ([proxies("http")], write(ingress("in", "grpc", "api")), "service api has protocol http"),
    ([proxies("http")], write(ingress("in", "http", "*"), ingress("on", "http2", "api")), "on"),
    (
        [defaults("api"), ingress("in", "http", "web", "api"), defaults("web")],
        write(defaults("api", "grpc")),
        "ingress-gateway/in: Listeners[0].Services[1]: service api has protocol grpc",
    ),
    ([proxies("http"), ingress("in", "http", "api")], delete("proxy-defaults", "global"), "tcp"),
    (
        [ingress("in", "tcp", "api")],
        write(defaults("api"), router("api")),
        "does not match the protocol tcp of the listener on port 8080",
    ),
    (
        [proxies("http"), splitter("api", "b"), ingress("in", "http", "api")],
        write(defaults("b", "http2")),
        "service api has protocol http2",
    ),
    # intentions with permissions
    ([], write(l7("api")), "service-intentions/api: Sources[0].Permissions: service api has"),
    ([defaults("api"), l7("api")], delete("service-defaults", "api"), "incompatible with L7"),
    ([defaults("api"), l7("api")], write(defaults("api", "tcp")), "incompatible with L7"),
    ([proxies("http"), l7("api")], delete("proxy-defaults", "global"), "incompatible with L7"),
    # JWT providers
    ([defaults("api")], write(l7("api", "okta")), "JWT provider okta must exist"),
    (
        [defaults("api"), of("jwt-provider", "okta"), l7("api", "okta")],
        delete("jwt-provider", "okta"),
        "service-intentions/api: Sources[0].Permissions[0].JWT.Providers[0].Name",
    ),
    # gateways of one name
    ([ingress("gw", "tcp", "a")], write(of("terminating-gateway", "gw")), "both have the name gw"),
    ([of("terminating-gateway", "gw")], write(ingress("gw", "tcp", "a")), "both have the name gw"),
    # permissive mutual TLS
    ([], write(PERMISSIVE), "service-defaults/api: MutualTLSMode: permissive needs"),
    ([mesh(False)], write(PERMISSIVE), "permissive needs"),
    # exports to peers
    (
        [redirect("api", "api", Datacenter="dc2")],
        write(exports("api")),
        "exported-services/default: peer exported service api contains cross-datacenter resolver",
    ),
    (
        [resolver("api", Failover={"*": {"Datacenters": ["dc2"]}})],
        write(exports("*")),
        "peer exported service api contains cross-datacenter failover",
    ),
    (
        [proxies("http"), splitter("api", "b"), exports("api")],
        write(redirect("b", "b", Peer="west")),
        "peer exported service api contains cross-peer resolver redirect",
    ),
    (
        [exports("api"), redirect("api", "b")],
        write(redirect("b", "c")),
        "cannot introduce new discovery chain targets like c.dc1",
    ),
    (
        [exports("api"), redirect("api", "b")],
        delete("service-resolver", "api"),
        "cannot introduce new discovery chain targets like api.dc1",
    ),
]
ACCEPTED = [
    ([], write(defaults("api"), router("api"))),
    ([], write(splitter("api", "b"), proxies("http"))),
    ([defaults("api"), router("api")], write(defaults("api", "grpc"))),
    ([defaults("api"), router("api")], delete("service-router", "api")),
    (
        [defaults("api"), router("api")],
        {**delete("service-router", "api"), **delete("service-defaults", "api")},
    ),
    ([proxies("http"), defaults("api"), router("api")], delete("proxy-defaults", "global")),
    ([router("web", "api")], write(defaults("x"))),  # web was broken before
    ([redirect("a", "b"), redirect("b", "a")], delete("service-resolver", "a")),
    ([redirect("a", "b")], write(redirect("b", "c"))),
    ([], write(ingress("in", "tcp", "api"))),
    ([], write(ingress("in", "http", "*"))),
    ([proxies("http")], write(ingress("in", "http", "api", "web"))),
    ([ingress("in", "tcp", "api")], write(defaults("api"))),  # carried as it is
    ([ingress("in", "tcp", "api")], delete("ingress-gateway", "in")),
    ([ingress("in", "http", "api")], delete("service-defaults", "b")),
    ([defaults("api")], write(l7("api"))),
    ([splitter("api", "b"), defaults("b")], write(l7("api"))),  # the chain is what callers meet
    ([defaults("api"), of("jwt-provider", "okta")], write(l7("api", "okta"))),
    ([of("jwt-provider", "okta")], delete("jwt-provider", "okta")),
    ([ingress("gw", "tcp", "a")], write(of("terminating-gateway", "other"))),
    ([mesh(True)], write(PERMISSIVE)),
    ([], write(PERMISSIVE, mesh(True))),
    ([mesh(True), PERMISSIVE], write(mesh(False))),  # only enabling needs to be allowed
    ([PERMISSIVE], write(PERMISSIVE | {"Meta": {"a": "b"}})),
    ([redirect("api", "api", Datacenter="dc2")], write(exports("web"))),
    ([redirect("api", "b")], write(exports("api"))),
    ([exports("api")], write(resolver("api", Failover={"*": {"Service": "b"}}))),
    ([exports("api"), proxies("http")], write(redirect("api", "b"))),
    ([exports("api")], write(redirect("web", "b"))),
    ([exports("*")], write(redirect("consul", "b"))),
]


@pytest.mark.parametrize(("existing", "changes", "told"), REFUSED)
def test_refused(existing, changes, told):
    index = Index(existing)
    broken = [str(problem) for problem in judge(index, changes)]
    assert any(told in problem for problem in broken), broken
    assert same(index, Index(existing))


@pytest.mark.parametrize(("existing", "changes"), ACCEPTED)
def test_accepted(existing, changes):
    index = Index(existing)
    assert judge(index, changes) == ()
    assert same(index, Index(existing))


def test_an_ingress_gateway_that_is_written_must_fit_whatever_it_was():
    gateway = ingress("in", "tcp", "api")
    index = Index([gateway, defaults("api")])
    assert len(judge(index, write(gateway))) == 1


def test_everything_that_breaks_is_told():
    index = Index([proxies("http"), router("a"), splitter("b", "b"), l7("c"), defaults("d")])
    broken = judge(index, write(proxies("tcp")))
    assert [problem.path for problem in broken] == [
        "service-router/a",
        "service-splitter/b",
        "service-intentions/c: Sources[0].Permissions",
    ]


def same(one, other):
    """Whether two indexes know the same."""
    names = {name for _, name in (*one.keys(), *other.keys())} | {"a", "b", "c", "api", "okta"}
    return (
        all(one.get(*key) == other.get(*key) for key in {*one.keys(), *other.keys()})
        and all(one.referrers(name) == other.referrers(name) for name in names)
        and all(one.users(name) == other.users(name) for name in names)
        and one.exported() == other.exported()
    )

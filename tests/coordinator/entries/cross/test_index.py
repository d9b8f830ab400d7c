"""The index keeps up with entries that come, change and go."""

from coordinator.entries.cross import Index


def redirect(name, service):
    return {"Kind": "service-resolver", "Name": name, "Redirect": {"Service": service}}


def intentions(name, *providers):
    jwt = {"Providers": [{"Name": provider} for provider in providers]}
    return {"Kind": "service-intentions", "Name": name, "JWT": jwt, "Sources": []}


def exports(*names):
    services = [{"Name": name, "Consumers": [{"Peer": "east"}]} for name in names]
    unshared = {"Name": "unshared", "Consumers": [{"Partition": "p"}]}
    return {
        "Kind": "exported-services",
        "Name": "default",
        "Services": [*services, unshared],
    }


def test_an_entry_that_changes_refers_to_what_it_says_now():
    index = Index([redirect("web", "old"), intentions("web", "okta"), exports("web")])
    assert index.exports("web")
    index.put(redirect("web", "new"))
    index.put(intentions("web", "auth0"))
    index.put(exports("api"))
    assert (index.referrers("old"), index.users("okta")) == (set(), set())
    assert index.referrers("new") == {("service-resolver", "web")}
    assert index.users("auth0") == {"web"}
    assert index.exported() == {"api"}


def test_an_entry_that_goes_refers_to_nobody():
    index = Index([redirect("web", "old"), intentions("web", "okta"), exports("*")])
    assert index.exports("anything")
    assert not index.exports("consul")
    for key in list(index.keys()):
        index.remove(*key)
    index.remove("service-resolver", "never-there")
    assert (index.referrers("old"), index.users("okta")) == (set(), set())
    assert not index.exports("anything")
    assert list(index.keys()) == []


def test_a_router_does_not_refer_to_its_own_service():
    routes = [{"Destination": {"Service": "web"}}, {"Destination": None}, {}]
    index = Index([{"Kind": "service-router", "Name": "web", "Routes": routes}])
    assert index.referrers("web") == set()


def test_gateways_and_failover_refer_too():
    targets = [{"Service": "a"}, {"Service": "b", "Peer": "east"}, {"Datacenter": "dc2"}]
    failover = {"*": {"Targets": targets}, "v1": {"Service": "c"}}
    listeners = [{"Services": [{"Name": "a"}, {"Name": "*"}]}]
    index = Index(
        [
            {"Kind": "service-resolver", "Name": "web", "Failover": failover},
            {"Kind": "ingress-gateway", "Name": "in", "Listeners": listeners},
        ]
    )
    assert index.referrers("a") == {("service-resolver", "web"), ("ingress-gateway", "in")}
    assert index.referrers("c") == {("service-resolver", "web")}
    assert index.referrers("*") == set()

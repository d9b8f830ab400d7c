from dataclasses import replace

import msgspec
import pytest

from cluster.catalog import Health
from cluster.http import Request, authorize_request
from cluster.http.providers import JwtProvider
from cluster.intentions import Action
from cluster.names import ServiceName
from tests.fakes.pki import TRUST_DOMAIN, Pki, service_uri
from tests.fakes.rig import sni
from worker.sidecar.config import parse_arguments
from worker.sidecar.known import (
    OWN_ENTRIES,
    Known,
    active_ids,
    bundle_of,
    endpoints_of,
    inbound_view,
    outbound_target,
    own_id,
    rules_of,
)
from worker.telemetry.metrics import Metrics
from worker.view.contexts import ServerContexts
from worker.view.tokens import KeptTokens
from worker.view.view import View

WEB = ServiceName(name="web")


@pytest.fixture(scope="module")
def pki():
    return Pki()


def entry(port=1, address="", status=(), weights=None, node_address="10.0.0.9", kind=""):
    service = {"ID": "i", "Service": "billing", "Port": port, "Address": address, "Kind": kind}
    if weights is not None:
        service["Weights"] = weights
    return {
        "Node": {"Node": "n", "Address": node_address},
        "Service": service,
        "Checks": [{"Status": found} for found in status],
    }


def only(*entries):
    (found,) = endpoints_of(list(entries))
    return found


def test_an_instance_is_where_it_says_else_at_its_node():
    assert str(only(entry(5, address="10.1.1.1"))) == "10.1.1.1:5"
    assert str(only(entry(5))) == "10.0.0.9:5"


@pytest.mark.parametrize(
    ("status", "healthy"),
    [((), True), (("passing", "warning"), True), (("passing", "critical"), False)],
)
def test_an_instance_is_as_well_as_its_worst_check(status, healthy):
    assert only(entry(status=status)).healthy is healthy


def test_weights_follow_health():
    weights = {"Passing": 10, "Warning": 2}
    assert only(entry(weights=weights)).weight == 10
    assert only(entry(weights=weights, status=(Health.WARNING,))).weight == 2
    assert only(entry()).weight == 1


def test_answers_may_hold_null_where_nothing_is():
    bare = entry()
    bare["Checks"] = None
    bare["Service"]["Kind"] = None
    assert only(bare).healthy
    assert rules_of({"web": None}) == ()


@pytest.mark.parametrize("broken", [[{}], [{"Node": {"Node": "n"}}], [entry(status=("odd",))]])
def test_an_answer_of_another_shape_raises_what_is_caught(broken):
    with pytest.raises((KeyError, ValueError, TypeError)):
        endpoints_of(broken)


def test_rules_and_their_ways_to_deny():
    base = {"DestinationName": "web"}
    matched = {
        "web": [
            base | {"SourceName": "api", "Action": "allow"},
            base | {"SourceName": "old", "Action": ""},
            base | {"SourceName": "http", "Permissions": [{"Action": "allow"}]},
            base | {"SourceName": "far", "SourcePeer": "east", "Action": "allow"},
        ]
    }
    api, old, http, far = rules_of(matched)
    assert (api.allows, old.allows, http.allows) == (True, False, False)
    assert (old.action, far.source.peer) == (Action.DENY, "east")


def roots(pki, active=True):
    listed = [{"ID": "r1", "RootCert": pki.pem.decode(), "Active": active}]
    return {"TrustDomain": TRUST_DOMAIN, "Roots": listed}


def test_roots(pki):
    bundle = bundle_of(roots(pki))
    assert bundle.trust_domain == TRUST_DOMAIN
    assert active_ids(bundle) == ("r1",)
    assert active_ids(bundle_of(roots(pki, active=False))) == ()


CONFIG = parse_arguments(
    ["-service", "web", "-service-addr", "127.0.0.1:80", "-listen", "127.0.0.1:2000"]
)


@pytest.fixture
def known(pki):
    return Known(
        datacenter="dc1",
        bundle=pki.bundle,
        leaf=pki.service("web"),
        rules=rules_of(
            {"web": [{"SourceName": "api", "DestinationName": "web", "Action": "allow"}]}
        ),
        entries=dict.fromkeys(OWN_ENTRIES),
        providers=(),
    )


def view_of(known, config=CONFIG):
    return inbound_view(config, known, Metrics(), ServerContexts(), KeptTokens())


def test_it_stands_for_its_service(known):
    assert own_id(CONFIG, known).uri == service_uri("web")


def test_the_inbound_view_serves_one_name_by_its_intentions(known):
    view = view_of(known)
    target = view.gateways["127.0.0.1", 2000].table.find(sni("web"))
    assert [str(found) for found in target.endpoints] == ["127.0.0.1:80"]
    policy = view.policy_of(WEB)
    assert policy.decide(ServiceName(name="api")).allowed
    assert not policy.decide(ServiceName(name="other")).allowed
    assert view.source_label(ServiceName(name="api")) == "api"


def test_the_default_policy_is_the_coordinators(known):
    view = view_of(changed(known, default_allow=True))
    assert view.policy_of(WEB).decide(ServiceName(name="other")).allowed


@pytest.mark.parametrize("missing", ["bundle", "leaf", "rules", "providers"])
def test_until_all_is_known_nobody_is_let_in(known, missing):
    assert view_of(changed(known, **{missing: None})).gateways == View().gateways


@pytest.mark.parametrize("missing", OWN_ENTRIES)
def test_until_its_protocol_is_known_nobody_is_let_in(known, missing):
    heard = {kind: None for kind in OWN_ENTRIES if kind != missing}
    assert view_of(changed(known, entries=heard)).gateways == {}


def test_a_service_of_http_is_served_by_request(known):
    assert http_of(known) is None
    entries = dict.fromkeys(OWN_ENTRIES) | {"service-defaults": {"Protocol": "http"}}
    http = http_of(changed(known, entries=entries))
    assert http.own_uri == service_uri("web")
    assert not http.route.rewrites_host


def http_of(known):
    return view_of(known).gateways["127.0.0.1", 2000].table.find(sni("web")).http


WANTS_TOKEN = {"Providers": [{"Name": "okta"}]}


@pytest.mark.parametrize(
    "says",
    [
        {"Permissions": [{"Action": "allow", "JWT": WANTS_TOKEN}]},
        {"Permissions": [{"Action": "deny", "JWT": WANTS_TOKEN}]},
        {"Action": "allow", "JWT": WANTS_TOKEN},
    ],
)
def test_tokens_of_a_provider_that_is_not_known_let_nobody_in(known, says):
    rules = rules_of({"web": [{"SourceName": "api", "DestinationName": "web"} | says]})
    known = changed(known, rules=rules, default_allow=True)
    assert not asked(known, "api")
    assert asked(known, "other")
    provider = JwtProvider(name="okta")
    assert asked(changed(known, providers=(provider,)), "api")  # by the default, as it has none


def asked(known, source):
    policy = view_of(known).requests_of(WEB)
    return authorize_request(policy, ServiceName(name=source), Request()).allowed


def test_without_an_inbound_side_there_is_no_view(known):
    config = parse_arguments(["-service", "web", "-upstream", "billing:1"])
    assert view_of(known, config).gateways == {}


def changed(known, **fields):
    return replace(known, **fields)


def test_an_upstream_is_asked_for_by_name_and_must_be_who_it_is(known):
    known = changed(known, endpoints={"billing": endpoints_of([entry(7)])})
    target = outbound_target(CONFIG, known, "billing", Metrics())
    assert target.server_name == sni("billing")
    assert target.expected_uri == service_uri("billing")
    assert [endpoint.port for endpoint in target.endpoints] == [7]


def test_an_upstream_that_nobody_told_of_has_no_endpoints(known):
    assert outbound_target(CONFIG, known, "billing", Metrics()).endpoints == ()
    assert outbound_target(CONFIG, changed(known, bundle=None), "billing", Metrics()) is None


def test_a_key_that_does_not_fit_is_a_value_error(known, pki):
    leaf = msgspec.structs.replace(known.leaf, key_pem=pki.service("web").key_pem)
    with pytest.raises(ValueError, match="certificate and key"):
        view_of(changed(known, leaf=leaf))

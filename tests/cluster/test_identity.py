"""SPIFFE identities: the table of forms, the round trip, and who may sign whom."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.identity import (
    AgentId,
    IdentityError,
    MeshGatewayId,
    ServerId,
    ServiceId,
    SigningId,
    can_sign,
    parse,
)

TD = "1234.consul"
SIGNER = SigningId(cluster_id="1234")

#: Anything may stand in a segment; what would break the URI is escaped.
segments = st.text(min_size=1, max_size=12).filter(
    lambda text: not any("\ud800" <= char <= "\udfff" for char in text)
)
#: Partitions are lower-cased when rendered.
partitions = st.one_of(st.just("default"), segments.filter(lambda text: text == text.lower()))
identities = st.one_of(
    st.builds(
        ServiceId,
        trust_domain=st.just(TD),
        service=segments,
        datacenter=segments,
        namespace=segments,
        partition=partitions,
    ),
    st.builds(
        AgentId,
        trust_domain=st.just(TD),
        datacenter=segments,
        node=segments,
        partition=partitions,
    ),
    st.builds(MeshGatewayId, trust_domain=st.just(TD), datacenter=segments, partition=partitions),
    st.builds(ServerId, trust_domain=st.just(TD), datacenter=segments),
    st.builds(SigningId, cluster_id=st.uuids().map(str), domain=st.just("consul")),
)

FORMS = [
    (SIGNER, f"spiffe://{TD}"),
    (
        ServiceId(trust_domain=TD, service="web", datacenter="dc1"),
        f"spiffe://{TD}/ns/default/dc/dc1/svc/web",
    ),
    (
        ServiceId(
            trust_domain=TD, service="web", datacenter="dc1", namespace="eng", partition="p1"
        ),
        f"spiffe://{TD}/ap/p1/ns/eng/dc/dc1/svc/web",
    ),
    (
        ServiceId(trust_domain=TD, service="a/b", datacenter="d%c", namespace="n s"),
        f"spiffe://{TD}/ns/n%20s/dc/d%25c/svc/a%2Fb",
    ),
    (
        AgentId(trust_domain=TD, datacenter="dc1", node="n1"),
        f"spiffe://{TD}/agent/client/dc/dc1/id/n1",
    ),
    (
        AgentId(trust_domain=TD, datacenter="dc1", node="n1", partition="p1"),
        f"spiffe://{TD}/ap/p1/agent/client/dc/dc1/id/n1",
    ),
    (ServerId(trust_domain=TD, datacenter="dc1"), f"spiffe://{TD}/agent/server/dc/dc1"),
    (MeshGatewayId(trust_domain=TD, datacenter="dc1"), f"spiffe://{TD}/gateway/mesh/dc/dc1"),
    (
        MeshGatewayId(trust_domain=TD, datacenter="dc1", partition="p1"),
        f"spiffe://{TD}/ap/p1/gateway/mesh/dc/dc1",
    ),
]


@pytest.mark.parametrize(("identity", "uri"), FORMS)
def test_every_form_both_ways(identity, uri):
    assert identity.uri == uri
    assert parse(uri) == identity


@given(identities)
def test_parse_undoes_render(identity):
    assert parse(identity.uri) == identity


def test_rendering_fills_and_folds_tenancy():
    empty = ServiceId(
        trust_domain=TD, service="web", datacenter="dc1", namespace="", partition="Default"
    )
    assert empty.uri == f"spiffe://{TD}/ns/default/dc/dc1/svc/web"
    shouted = MeshGatewayId(trust_domain=TD, datacenter="dc1", partition="P1")
    assert shouted.uri == f"spiffe://{TD}/ap/p1/gateway/mesh/dc/dc1"


def test_the_trust_domain_is_lower_case():
    assert SigningId(cluster_id="AB-CD", domain="Consul").trust_domain == "ab-cd.consul"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://1234.consul/ns/default/dc/dc1/svc/web",
        "spiffe:1234.consul",
        "spiffe://",
        "spiffe:///ns/default/dc/dc1/svc/web",
        "spiffe://nodot",
        "spiffe://.consul",
        f"spiffe://{TD}/",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/a/b",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/web/",
        f"spiffe://{TD}/prefix/ns/default/dc/dc1/svc/web",
        f"spiffe://{TD}/ap/p1/agent/server/dc/dc1",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/web?x=1",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/web#x",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/web\n",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/w\x00b",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/w%zzb",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/w%ffb",
    ],
)
def test_other_shapes_are_refused(uri):
    with pytest.raises(IdentityError):
        parse(uri)


@given(st.text(max_size=80))
def test_any_text_is_an_identity_or_an_identity_error(text):
    for uri in (text, f"spiffe://{TD}/{text}"):
        with contextlib.suppress(IdentityError):
            parse(uri)


@pytest.mark.parametrize(
    ("other", "may"),
    [
        (SIGNER, True),
        (SigningId(cluster_id="9999"), False),
        (SigningId(cluster_id="1234", domain="evil"), False),
        (ServiceId(trust_domain="1234.CONSUL", service="web", datacenter="dc1"), True),
        (ServiceId(trust_domain="9999.consul", service="web", datacenter="dc1"), False),
        (MeshGatewayId(trust_domain=TD, datacenter="dc1"), True),
        (ServerId(trust_domain=TD, datacenter="dc1"), True),
        (ServerId(trust_domain="1234.consul.evil", datacenter="dc1"), False),
        (AgentId(trust_domain=TD, datacenter="dc1", node="n1"), False),
        (None, False),
    ],
)
def test_who_may_sign_whom(other, may):
    assert can_sign(SIGNER, other) is may

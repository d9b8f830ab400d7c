"""SNI strings: the table of every form, and that each reads back as what it was made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.names import (
    GatewaySni,
    PeeredSni,
    PeeringServerSni,
    QuerySni,
    ServiceName,
    ServiceSni,
    WanServerSni,
    gateway_sni,
    parse_service_name,
    parse_sni,
    peered_sni,
    peering_server_sni,
    query_sni,
    service_sni,
    split_wan_node_name,
    wan_server_sni,
    written_service,
)

TD = "11111111-2222-3333-4444-555555555555.consul"

#: A DNS label that no form gives a meaning of its own.
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(
    lambda label: (
        label
        not in ("internal", "internal-v1", "external", "query", "peering", "server", "default")
    )
)
tenancies = st.one_of(st.just("default"), labels)


def _service(**fields: str) -> ServiceSni:
    return ServiceSni(trust_domain=TD, **fields)


@pytest.mark.parametrize(
    ("rendered", "parsed"),
    [
        (
            service_sni("web", datacenter="dc1", trust_domain=TD),
            _service(service="web", datacenter="dc1"),
        ),
        (
            service_sni("web", subset="v2", datacenter="dc1", trust_domain=TD),
            _service(service="web", subset="v2", datacenter="dc1"),
        ),
        (
            service_sni("web", namespace="eng", partition="p1", datacenter="dc1", trust_domain=TD),
            _service(service="web", namespace="eng", partition="p1", datacenter="dc1"),
        ),
        (
            gateway_sni("dc2", trust_domain=TD),
            GatewaySni(datacenter="dc2", trust_domain=TD),
        ),
        (
            gateway_sni("dc2", partition="p1", trust_domain=TD),
            GatewaySni(datacenter="dc2", partition="p1", trust_domain=TD),
        ),
        (
            peered_sni("web", peer="east", trust_domain=TD),
            PeeredSni(service="web", peer="east", trust_domain=TD),
        ),
        (
            query_sni("near", datacenter="dc1", trust_domain=TD),
            QuerySni(query="near", datacenter="dc1", trust_domain=TD),
        ),
        (
            peering_server_sni("dc1", trust_domain=TD),
            PeeringServerSni(datacenter="dc1", trust_domain=TD),
        ),
        (
            wan_server_sni(datacenter="dc2", domain="consul."),
            WanServerSni(datacenter="dc2", domain="consul"),
        ),
        (
            wan_server_sni(node="*", datacenter="dc2", domain="consul"),
            WanServerSni(datacenter="dc2", domain="consul"),
        ),
        (
            wan_server_sni(node="n1", datacenter="dc2", domain="consul"),
            WanServerSni(node="n1", datacenter="dc2", domain="consul"),
        ),
    ],
)
def test_every_form_reads_back(rendered, parsed):
    assert parse_sni(rendered, trust_domain=TD) == parsed


def test_the_service_form_to_the_letter():
    assert service_sni("web", datacenter="dc1", trust_domain=TD) == f"web.default.dc1.internal.{TD}"
    assert (
        service_sni("web", subset="v2", partition="p", datacenter="dc1", trust_domain=TD)
        == f"v2.web.default.p.dc1.internal-v1.{TD}"
    )


@given(labels, st.one_of(st.just(""), labels), tenancies, tenancies, labels)
def test_service_round_trip(service, subset, namespace, partition, datacenter):
    parts = ServiceSni(
        service=service,
        subset=subset,
        namespace=namespace,
        partition=partition,
        datacenter=datacenter,
        trust_domain=TD,
    )
    rendered = service_sni(
        service,
        subset=subset,
        namespace=namespace,
        partition=partition,
        datacenter=datacenter,
        trust_domain=TD,
    )
    assert parse_sni(rendered, trust_domain=TD) == parts


@given(tenancies, labels)
def test_gateway_round_trip(partition, datacenter):
    rendered = gateway_sni(datacenter, partition=partition, trust_domain=TD)
    parts = GatewaySni(datacenter=datacenter, partition=partition, trust_domain=TD)
    assert parse_sni(rendered, trust_domain=TD) == parts


@given(labels, labels, tenancies, tenancies)
def test_peered_round_trip(service, peer, namespace, partition):
    rendered = peered_sni(
        service, peer=peer, namespace=namespace, partition=partition, trust_domain=TD
    )
    assert parse_sni(rendered, trust_domain=TD) == PeeredSni(
        service=service, peer=peer, namespace=namespace, partition=partition, trust_domain=TD
    )


@given(labels, labels)
def test_the_other_forms_round_trip(name, datacenter):
    query = query_sni(name, datacenter=datacenter, trust_domain=TD)
    assert parse_sni(query, trust_domain=TD) == QuerySni(
        query=name, datacenter=datacenter, trust_domain=TD
    )
    servers = peering_server_sni(datacenter, trust_domain=TD)
    assert parse_sni(servers, trust_domain=TD) == PeeringServerSni(
        datacenter=datacenter, trust_domain=TD
    )
    for node in ("", name):
        rendered = wan_server_sni(node=node, datacenter=datacenter, domain="example.net.")
        assert parse_sni(rendered, trust_domain=TD, domain="example.net") == WanServerSni(
            node=node, datacenter=datacenter, domain="example.net"
        )


@pytest.mark.parametrize(
    "sni",
    [
        "",
        TD,
        f".{TD}",
        "example.com",
        f"web.{TD}",
        f"web.default.dc1.internal.{TD}.evil.example",
        "web.default.dc1.internal.other.consul",
        f"web.default.dc1.outernal.{TD}",
        f"a.b.web.default.dc1.internal.{TD}",
        f"a.b.web.default.p.dc1.internal-v1.{TD}",
        f"dc1.internal-v1.{TD}",
        f"web..dc1.internal.{TD}",
        f"near.other.dc1.query.{TD}",
        f"client.dc1.peering.{TD}",
        "server..consul",
        "n1.client.dc1.consul",
    ],
)
def test_what_is_no_sni_of_ours_says_nothing(sni):
    assert parse_sni(sni, trust_domain=TD) is None


def test_names_compare_without_case():
    shouted = f"WEB.Default.DC1.INTERNAL.{TD.upper()}"
    assert parse_sni(shouted, trust_domain=TD) == _service(service="web", datacenter="dc1")


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_none(text):
    parse_sni(text, trust_domain=TD)
    parse_sni(f"{text}.{TD}", trust_domain=TD)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", ServiceName(name="web")),
        ("eng/web", ServiceName(name="web", namespace="eng")),
        ("p1/eng/web", ServiceName(name="web", namespace="eng", partition="p1")),
        ("*", ServiceName(name="*")),
    ],
)
def test_service_names_read_and_print_the_same(text, name):
    assert parse_service_name(text) == name
    assert str(name) == text


def test_a_peered_name_prints_its_peer():
    assert str(ServiceName(name="web", peer="east")) == "peer:east/default/web"


@pytest.mark.parametrize("text", ["", "/web", "web/", "a//b", "a/b/c/d"])
def test_what_is_no_service_name_is_refused(text):
    with pytest.raises(ValueError, match="not a service name"):
        parse_service_name(text)


@pytest.mark.parametrize(
    "name",
    [
        ServiceName(name="web"),
        ServiceName(name="web", namespace="ns"),
        ServiceName(name="web", namespace="ns", partition="part"),
        ServiceName(name="web", partition="part"),
        ServiceName(name="web", peer="east"),
        ServiceName(name="web", namespace="ns", peer="east"),
    ],
)
def test_a_written_name_is_read_again(name):
    assert written_service(str(name)) == name


def test_a_server_of_a_federated_datacenter():
    assert split_wan_node_name("server-1.dc2") == ("server-1", "dc2")
    assert split_wan_node_name(".dc2") == ("", "dc2")


@pytest.mark.parametrize("name", ["", "server-1", "server-1.dc2.consul"])
def test_what_is_no_name_of_a_server(name):
    with pytest.raises(ValueError, match="is not <node>"):
        split_wan_node_name(name)

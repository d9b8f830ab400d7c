"""Who makes a request."""

import pytest

from cluster.authorize import Peer
from cluster.http.caller import forwarded_uri, request_caller
from cluster.identity import parse
from cluster.names import ServiceName

OURS, THEIRS = "a.consul", "b.consul"
PEERS = {THEIRS: Peer("b", "part1")}
OUR_GATEWAY = f"spiffe://{OURS}/gateway/mesh/dc/dc1"
OUR_WEB = f"spiffe://{OURS}/ns/default/dc/dc1/svc/web"
THEIR_WEB = f"spiffe://{THEIRS}/ap/part1/ns/default/dc/dc9/svc/web"
WEB = ServiceName(name="web")


@pytest.mark.parametrize(
    ("certificate", "header", "caller"),
    [
        (OUR_WEB, None, WEB),
        (OUR_WEB, f"URI={THEIR_WEB}", WEB),
        (THEIR_WEB, None, ServiceName(name="web", peer="b")),
        (OUR_GATEWAY, None, None),
        (OUR_GATEWAY, f"URI={THEIR_WEB}", ServiceName(name="web", peer="b")),
        (OUR_GATEWAY, f"Hash=1;URI={THEIR_WEB},URI={OUR_WEB}", ServiceName(name="web", peer="b")),
        (OUR_GATEWAY, f"URI={OUR_WEB}", None),
        (OUR_GATEWAY, f"Hash=1,URI={THEIR_WEB}", None),
        (OUR_GATEWAY, f"URI={THEIR_WEB.replace('part1', 'part2')}", None),
        (OUR_GATEWAY, "URI=spiffe://c.consul/ns/default/dc/dc9/svc/web", None),
        (OUR_GATEWAY, "URI=nonsense", None),
        (OUR_GATEWAY, f"URI=spiffe://{THEIRS}/gateway/mesh/dc/dc1", None),
        (f"spiffe://{OURS}/ap/x/gateway/mesh/dc/dc1", f"URI={THEIR_WEB}", None),
        (f"spiffe://{THEIRS}/gateway/mesh/dc/dc1", f"URI={THEIR_WEB}", None),
        (f"spiffe://{OURS}/agent/server/dc/dc1", f"URI={THEIR_WEB}", None),
    ],
)
def test_a_caller(certificate, header, caller):
    assert request_caller(parse(certificate), header, OURS, PEERS) == caller


@pytest.mark.parametrize(
    ("header", "uri"),
    [
        ("URI=a", "a"),
        ("By=x;Hash=y;URI=a", "a"),
        ('Subject="CN=\\"x,y\\";URI=b";URI=a', "a"),
        ('URI="a"', "a"),
        ('URI="a\\"b"', 'a"b'),
        ("uri=a;By=x", "a"),
        ("URI=a,URI=b", "a"),
        ("URI=a;URI=b", None),
        ("Hash=y,URI=b", None),
        ("URI=", None),
        ("", None),
        (",URI=b", None),
    ],
)
def test_the_uri_of_the_first_element(header, uri):
    assert forwarded_uri(header) == uri

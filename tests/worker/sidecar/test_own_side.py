import pytest

from worker.sidecar.own_side import own_side

HTTP = {"Protocol": "http"}
EVERY = {"Config": {"protocol": "http"}}


@pytest.mark.parametrize(
    ("own", "every", "is_http"),
    [
        (None, None, False),
        (HTTP, None, True),
        ({"Protocol": "HTTP"}, None, True),
        ({"Protocol": "tcp"}, EVERY, False),
        ({"Protocol": ""}, EVERY, True),
        (None, EVERY, True),
        ({"Protocol": "grpc"}, None, True),
        ({"Protocol": "mongo"}, EVERY, False),
    ],
)
def test_the_protocol_is_that_of_service_defaults_else_of_all_proxies(own, every, is_http):
    assert (own_side(own, every, None).http is not None) is is_http


@pytest.mark.parametrize(
    ("protocol", "is_http2"), [("tcp", False), ("http", False), ("http2", True), ("GRPC", True)]
)
def test_a_program_is_spoken_to_in_the_http_of_its_protocol(protocol, is_http2):
    assert own_side({"Protocol": protocol}, None, None).http2 is is_http2


def test_what_nobody_says_is_as_in_envoy():
    side = own_side(HTTP, None, None)
    assert side.connect_timeout_seconds == 5.0
    assert side.http.request_timeout_seconds == 15.0
    assert side.http.head_bytes == 60 * 1024
    assert not side.http.replaces_client_cert


def test_what_somebody_says_counts():
    own = HTTP | {
        "LocalRequestTimeoutMs": 2500,
        "LocalConnectTimeoutMs": 700,
        "MaxRequestHeadersKB": 8,
    }
    side = own_side(own, None, {"HTTP": {"SanitizeXForwardedClientCert": True}})
    assert side.connect_timeout_seconds == 0.7
    assert side.http.request_timeout_seconds == 2.5
    assert side.http.head_bytes == 8192
    assert side.http.replaces_client_cert

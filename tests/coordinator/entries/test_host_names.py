"""The syntax of host names, of destinations and of ingress gateways."""

import pytest

from coordinator.entries.host_names import host_fault, is_address


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("10.0.0.1", True),
        ("2001:db8::1", True),
        ("api.example.com", True),
        ("api.example.com.", True),
        ("localhost", True),
        ("_a.example", True),
        ("", False),
        ("*", False),
        ("*.example.com", False),
        ("..hello.", False),
        ("a..b", False),
        ("a b", False),
        ("x" * 64, False),
        ("a." * 128 + "a", False),
        ("a\n", False),
    ],
)
def test_addresses(text, valid):
    assert is_address(text) is valid


@pytest.mark.parametrize(
    "host",
    [
        "*",
        "example.com",
        "example.com.",
        "example.com:8080",
        "*.example.com",
        "*.example.com:8080",
        "*.com",
        "_dmarc.example",
        "10.0.0.1",
        "10.0.0.1:80",
        "[2001:db8::1]",
        "[2001:db8::1]:80",
    ],
)
def test_hosts_of_an_ingress_gateway(host):
    assert host_fault(host) == ""


@pytest.mark.parametrize(
    "host",
    ["*example.com", "a.*.com", "example.*", "*-x.example.com", "*.*.com", "*:80", "**", "a*.b"],
)
def test_a_wildcard_anywhere_else(host):
    assert host_fault(host).endswith("only allowed as the leftmost label")


@pytest.mark.parametrize(
    "host", ["", "example..com", ".example.com", "*.", "a b", "a:b", "a:123456", "[::g]", "x" * 64]
)
def test_no_host_at_all(host):
    assert host_fault(host).endswith("must be a valid DNS hostname")

"""Sockets are what their makers say, and what they accept inherits it."""

import ctypes
import errno
import fcntl
import select
import socket

import pytest

from tests.harness.descriptors import open_descriptors
from worker.net.sockets import (
    ListenError,
    address_text,
    ephemeral_ports,
    listening_socket,
    notice_dead_peers,
    outbound_socket,
    packed_address,
)

TCP = socket.IPPROTO_TCP


def option(sock, level, name):
    return sock.getsockopt(level, name)


def wait_readable(sock, seconds=30.0):
    return bool(select.select([sock], [], [], seconds)[0])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", ""])
def test_accepted_sockets_inherit_the_options(address):
    with listening_socket(address, 0) as listener:
        assert not listener.getblocking()
        assert fcntl.fcntl(listener, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        port = listener.getsockname()[1]
        with socket.create_connection((address or "127.0.0.1", port)):
            assert wait_readable(listener)
            accepted, _ = listener.accept()
            with accepted:
                assert option(accepted, TCP, socket.TCP_NODELAY)
                assert not option(accepted, socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_dead_peers_are_noticed_where_that_is_asked_for():
    with socket.socket() as sock:
        notice_dead_peers(sock)
        assert option(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert option(sock, TCP, socket.TCP_KEEPIDLE) == 60


def test_several_sockets_share_a_port_when_they_may():
    with listening_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listening_socket("127.0.0.1", port) as second:
            assert second.getsockname() == first.getsockname()


def test_ipv6_and_ipv4_can_have_the_same_port():
    with listening_socket("0.0.0.0", 0, reuse_port=False) as first:
        port = first.getsockname()[1]
        with listening_socket("::", port, reuse_port=False) as second:
            assert second.getsockname()[1] == port


@pytest.mark.parametrize(("address", "text"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_port_in_use_is_named(address, text):
    with listening_socket(address, 0, reuse_port=False) as first:
        port = first.getsockname()[1]
        before = open_descriptors()
        with pytest.raises(ListenError) as caught:
            listening_socket(address, port, reuse_port=False)
        assert str(caught.value) == f"cannot listen on {text}:{port}: Address already in use"
        assert caught.value.errno == errno.EADDRINUSE
        assert not open_descriptors() - before


def test_an_address_of_another_host_is_named():
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:80: Cannot assign requested address"):
        listening_socket("192.0.2.1", 80)


def test_a_deferred_listener_waits_for_the_first_bytes():
    listener = listening_socket("127.0.0.1", 0, defer_accept_seconds=5)
    with listener, socket.create_connection(listener.getsockname()) as client:
        assert not wait_readable(listener, 0.05)
        client.send(b"hello")
        assert wait_readable(listener)


def test_a_listener_is_not_deferred_unless_asked():
    listener = listening_socket("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname()):
        assert wait_readable(listener)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_outbound_socket(family):
    with outbound_socket(family) as sock:
        assert sock.family == family
        assert not sock.getblocking()
        assert option(sock, TCP, socket.TCP_NODELAY)
        assert option(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_addresses_as_people_write_them():
    assert address_text("10.0.0.1", 80) == "10.0.0.1:80"
    assert address_text("::1", 80) == "[::1]:80"
    assert address_text("", 80) == "*:80"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_packed_address_is_what_the_kernel_reads(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server, socket.socket(family) as client:
        port = server.getsockname()[1]
        packed = packed_address(host, port)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.connect(client.fileno(), packed, len(packed)) == 0
        assert client.getpeername()[:2] == (host, port)


@pytest.mark.parametrize("host", ["db.internal", "", "fe80::1%lo", "1.2.3", "127.0.0.1\0"])
def test_what_is_no_plain_address_is_not_packed(host):
    assert packed_address(host, 80) is None


def test_the_ports_that_the_kernel_dials_from():
    first, last = ephemeral_ports()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert first <= client.getsockname()[1] <= last

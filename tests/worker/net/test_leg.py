"""A leg over a bare socket, on real sockets."""

import errno
import socket

import pytest

from worker.net.leg import Leg, PlainLeg, WouldBlockRead, WouldBlockWrite, cut_short


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        inner, _ = listener.accept()
    peer.settimeout(30)
    with peer, inner:
        yield peer, PlainLeg(inner)


def receive_when_there(leg: Leg, buffer: memoryview) -> int:
    leg.sock.settimeout(30)
    leg.sock.recv(1, socket.MSG_PEEK)
    leg.sock.setblocking(False)
    return leg.recv_into(buffer)


def test_receives_what_is_there_and_says_when_nothing_is(pair):
    peer, leg = pair
    buffer = memoryview(bytearray(10))
    with pytest.raises(WouldBlockRead):
        leg.recv_into(buffer)
    peer.send(b"hello")
    assert receive_when_there(leg, buffer) == 5
    assert bytes(buffer[:5]) == b"hello"
    peer.shutdown(socket.SHUT_WR)
    assert receive_when_there(leg, buffer) == 0


def test_sends_until_the_socket_is_full(pair):
    _, leg = pair
    data = memoryview(bytes(1 << 20))

    def fill():
        while True:
            assert leg.send(data) >= 1

    with pytest.raises(WouldBlockWrite):
        fill()


def test_half_close_is_said_once_and_receiving_goes_on(pair):
    peer, leg = pair
    leg.shutdown_write()
    leg.shutdown_write()
    assert peer.recv(1) == b""
    peer.send(b"late")
    assert receive_when_there(leg, memoryview(bytearray(10))) == 4


def test_a_plain_close_ends_in_order(pair):
    peer, leg = pair
    leg.close()
    leg.close()
    assert peer.recv(1) == b""


def test_an_abort_resets(pair):
    peer, leg = pair
    leg.abort()
    leg.abort()
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_an_abort_after_a_half_close_still_resets(pair):
    peer, leg = pair
    leg.shutdown_write()
    assert peer.recv(1) == b""
    leg.abort()
    with pytest.raises(BrokenPipeError):  # what Linux makes of a reset after the end (tcp_reset)
        peer.send(b"?")


def test_an_abort_of_a_unix_socket_is_a_close():
    ours, theirs = socket.socketpair()
    with theirs:
        PlainLeg(ours).abort()
        assert theirs.recv(1) == b""


def test_half_close_towards_a_peer_that_is_gone_is_no_success(pair):
    peer, leg = pair
    PlainLeg(peer).abort()
    with pytest.raises(ConnectionResetError):
        receive_when_there(leg, memoryview(bytearray(10)))
    with pytest.raises(ConnectionResetError):
        leg.shutdown_write()


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENOTCONN])
def test_a_lost_path_counts_as_a_reset(number):
    error = cut_short(OSError(number, "text"))
    assert isinstance(error, ConnectionResetError)
    assert error.errno == number


def test_a_bug_stays_a_bug(pair):
    _, leg = pair
    leg.close()
    with pytest.raises(OSError) as caught:
        leg.recv_into(memoryview(bytearray(1)))
    assert caught.value.errno == errno.EBADF

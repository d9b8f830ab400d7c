"""Both forms of the accept call: what they take from the kernel, and what they say of the hello."""

import fcntl
import os
import socket

import pytest

from tests.worker.gateways.conftest import client_hello
from worker.arrival import arrivals
from worker.net.sockets import listening_socket

FORMS = {"accept_only": arrivals.accept_only, "built": arrivals.accept}


@pytest.fixture(params=sorted(FORMS))
def accept(request):
    return FORMS[request.param]


@pytest.fixture
def listening():
    with listening_socket("127.0.0.1", 0) as sock:
        yield sock


def call(listening, data=b""):
    client = socket.create_connection(listening.getsockname())
    client.sendall(data)
    return client


def test_nobody_is_there(accept, listening):
    assert accept(listening) is None


def test_a_connection_is_non_blocking_and_not_inherited(accept, listening):
    with call(listening):
        descriptor, name, length = accept(listening)
        assert (name, length) == (None, 0)
        assert not os.get_blocking(descriptor)
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        os.close(descriptor)


def test_what_is_wrong_with_the_listener_is_an_os_error(accept, listening):
    listening.close()
    with pytest.raises(OSError, match="descriptor"):
        accept(listening)


def test_the_hello_stays_in_the_socket(accept, listening):
    hello = client_hello("db.example.consul")
    with call(listening, hello):
        descriptor, name, length = accept(listening)
        assert (name, length) in ((None, 0), ("db.example.consul", len(hello)))
        with socket.socket(fileno=descriptor) as sock:
            assert sock.recv(65536) == hello


def test_the_built_form_knows_the_name(listening):
    if arrivals.accept is arrivals.accept_only:
        pytest.skip("the accept call outside Python was not built: it needs a C compiler")
    hello = client_hello("DB.Example.consul")
    with call(listening, hello + b"early data"):
        descriptor, name, length = arrivals.accept(listening)
        os.close(descriptor)
        assert (name, length) == ("db.example.consul", len(hello))

# cython: language_level=3
"""Bytes from and to a leg, bare or TLS, without the calls between Python and the kernel or OpenSSL.

A channel is beside its leg, and both may be used by turns: whatever waits somewhere waits in the socket or in
OpenSSL, never here. Like the leg it must not be used once that is closed.

Belongs here: one read, one write. Never here: waiting, or what the bytes mean. The types are in `_channel.pyi`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uintptr_t

from worker.relay.native._side cimport (
    BLOCKED, ENDED, LOST, Side, SslCall, SslClear, SslIo, SslJudge, side_open, side_read,
    side_write,
)

FULL = AT_MOST
NEEDED = ("SSL_read", "SSL_write", "SSL_shutdown", "SSL_get_error", "ERR_clear_error")

# One for all: what was read is copied out of it before anybody else reads.
cdef char scratch[AT_MOST]


def learn(dict functions not None):
    """Where OpenSSL's functions are, by the names in `NEEDED`; before any channel is made of a TLS leg."""
    tls.read = <SslIo><uintptr_t>functions["SSL_read"]
    tls.write = <SslIo><uintptr_t>functions["SSL_write"]
    tls.shutdown = <SslCall><uintptr_t>functions["SSL_shutdown"]
    tls.get_error = <SslJudge><uintptr_t>functions["SSL_get_error"]
    tls.clear_errors = <SslClear><uintptr_t>functions["ERR_clear_error"]


cdef class Channel:
    """See `_channel.pyi`."""

    def __init__(self, leg):
        self.leg = leg
        side_open(&self.side, NULL, <int>leg.sock.fileno(), <void *><uintptr_t>leg.ssl_address())

    @property
    def descriptor(self):
        return self.side.fd

    cpdef receive(self):
        cdef int count = side_read(&self.side, &tls, scratch, AT_MOST)
        if count > 0:
            return PyBytes_FromStringAndSize(scratch, count)
        if count == ENDED:
            return b""
        if count == LOST:
            raise ConnectionResetError("the peer is gone")
        return None

    cpdef bint is_quiet(self) except? False:
        return side_read(&self.side, &tls, scratch, AT_MOST) == BLOCKED

    cpdef Py_ssize_t send(self, bytes data) except -1:
        cdef int count = side_write(
            &self.side, &tls, PyBytes_AS_STRING(data), <int>PyBytes_GET_SIZE(data), False
        )
        if count == LOST:
            raise ConnectionResetError("the peer is gone")
        return 0 if count == BLOCKED else count

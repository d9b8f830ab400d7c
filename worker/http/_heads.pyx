# cython: language_level=3, boundscheck=False, wraparound=False
"""Common heads read outside Python, and heads written.

Who reads says what its form in Python says of the same bytes (`requests`, `responses`), or None: the head is
not whole, not common, or not HTTP. So whatever two might read in two ways is refused in one place, which is
not here. Who writes gives the same bytes as its form in Python (`heads`). Tests hold one against the other.

Belongs here: heads without surprises. Never here: a refusal, or a meaning that Python does not give. The types
are in `_heads.pyi`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsLatin1String, PyUnicode_DecodeLatin1
from libc.stdint cimport uint8_t
from libc.stdio cimport snprintf

from worker.http._bytes cimport Table, fill
from worker.http._scan cimport (
    FORWARDED_NAMES, IN_CHUNKS, NO_LENGTH, Line, Scan, scan_request, scan_response,
)
from worker.http._written cimport ID_BYTES, put_uuid

from worker.http.requests import RequestHead
from worker.http.responses import Ends, ResponseHead

cdef Table TABLE
fill(&TABLE)

cdef object AT_ONCE = Ends.AT_ONCE
cdef object WITH_THE_CONNECTION = Ends.WITH_THE_CONNECTION
cdef dict NOTHING = {}
cdef tuple FORWARDED = (
    b"x-forwarded-client-cert", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto",
    b"x-request-id",
)

# What was found last: read before anything else is scanned.
cdef Scan FOUND


cdef inline bytes _bytes(const uint8_t *at, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char *>at, size)


cdef tuple _kept():
    cdef list kept = []
    cdef Line *line
    cdef int place
    for place in range(FOUND.kept):
        line = &FOUND.lines[place]
        kept.append((_bytes(line.name, line.name_bytes), _bytes(line.value, line.value_bytes)))
    return tuple(kept)


cdef dict _forwarded():
    cdef dict found = NOTHING
    cdef Line *line
    cdef int place
    for place in range(FORWARDED_NAMES):
        line = &FOUND.forwarded[place]
        if line.name != NULL:
            if found is NOTHING:
                found = {}
            found[FORWARDED[place]] = _bytes(line.value, line.value_bytes)
    return found


def request(bytes data not None, Py_ssize_t max_bytes, Py_ssize_t max_fields):
    """The head at the start of `data` and where it ends; see `worker.http.reading.next_request`."""
    cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = min(PyBytes_GET_SIZE(data), max_bytes)
    if not scan_request(&TABLE, start, size, max_fields, &FOUND):
        return None
    query = ""
    if FOUND.query_bytes:
        query = PyUnicode_DecodeLatin1(<const char *>FOUND.query, FOUND.query_bytes, NULL)
    return RequestHead(
        method=_bytes(FOUND.first, FOUND.first_bytes),
        path=PyUnicode_DecodeLatin1(<const char *>FOUND.path, FOUND.path_bytes, NULL),
        query=query,
        host=_bytes(FOUND.host, FOUND.host_bytes),
        minor=1,
        fields=_kept(),
        forwarded=_forwarded(),
        length=None if FOUND.hop.length == NO_LENGTH else FOUND.hop.length,
        keep_alive=not FOUND.hop.closes,
        expects_continue=False,
        upgrade=b"",
    ), FOUND.size


def response(bytes data not None, bytes method not None, Py_ssize_t max_bytes, Py_ssize_t max_fields):
    """The head at the start of `data` and where it ends; see `worker.http.reading.next_response`."""
    cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = min(PyBytes_GET_SIZE(data), max_bytes)
    cdef object length, ends
    cdef int status
    if not scan_response(&TABLE, start, size, max_fields, &FOUND):
        return None
    status = FOUND.status
    length = None if FOUND.hop.length == NO_LENGTH else FOUND.hop.length
    if status == 204 or status == 304 or method == b"HEAD":
        ends = AT_ONCE
    else:
        ends = WITH_THE_CONNECTION if length is None else length
    return ResponseHead(
        status=status,
        reason=_bytes(FOUND.first, FOUND.first_bytes),
        fields=_kept(),
        length=length,
        ends=ends,
        keep_alive=not FOUND.hop.closes and ends is not WITH_THE_CONNECTION,
        upgrade=b"",
    ), FOUND.size


def request_head(request, hop, bytes host not None, bytes request_id not None):
    """See `worker.http.heads.request_head`."""
    cdef dict seen = request.forwarded
    cdef list parts = [request.method, b" ", PyUnicode_AsLatin1String(request.path)]
    cdef object value, asked_host, length, cert
    if request.query:
        parts += (b"?", PyUnicode_AsLatin1String(request.query))
    parts += (b" HTTP/1.1\r\nhost: ", host, b"\r\n")
    _add_fields(parts, request.fields)
    parts.append(b"x-forwarded-for: ")
    if seen and (value := seen.get(b"x-forwarded-for")):
        parts += (value, b",")
    parts += (hop.address, b"\r\nx-forwarded-proto: ")
    parts.append((seen.get(b"x-forwarded-proto") if seen else None) or hop.scheme)
    parts.append(b"\r\nx-request-id: ")
    parts.append((seen.get(b"x-request-id") if seen else None) or request_id)
    asked_host = (seen.get(b"x-forwarded-host") if seen else None) or request.host
    if asked_host:
        parts += (b"\r\nx-forwarded-host: ", asked_host)
    parts.append(b"\r\n")
    value = None if hop.replaces_cert or not seen else seen.get(b"x-forwarded-client-cert")
    cert = hop.client_cert
    if value or cert:
        parts.append(b"x-forwarded-client-cert: ")
        parts += (value, b",", cert) if value and cert else (value or cert,)
        parts.append(b"\r\n")
    length = request.length
    if length is not None:
        if length == IN_CHUNKS:
            parts.append(b"transfer-encoding: chunked\r\n")
        else:
            parts += (b"content-length: ", _digits(length), b"\r\n")
    if request.upgrade:
        parts.append(b"connection: Upgrade\r\nupgrade: websocket\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def response_head(response, int minor, bint keep_alive):
    """See `worker.http.heads.response_head`."""
    cdef int status = response.status
    cdef object length = response.length
    cdef list parts = [b"HTTP/1.1 ", _digits(status), b" ", response.reason, b"\r\n"]
    _add_fields(parts, response.fields)
    if status >= 200 and status != 204:
        if length is not None and length != IN_CHUNKS:
            parts += (b"content-length: ", _digits(length), b"\r\n")
        elif minor == 1 and response.ends is not AT_ONCE:
            parts.append(b"transfer-encoding: chunked\r\n")
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    elif minor == 0:
        parts.append(b"connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


cdef inline void _add_fields(list parts, tuple fields):
    cdef tuple field
    for field in fields:
        parts.append(field[0])
        parts.append(b": ")
        parts.append(field[1])
        parts.append(b"\r\n")


cdef inline bytes _digits(long long number):
    cdef char text[24]
    return PyBytes_FromStringAndSize(text, snprintf(text, sizeof(text), b"%lld", number))


def uuid(bits):
    """Of version 4 (RFC 9562), from 128 bits of chance."""
    cdef bytes raw = bits.to_bytes(16, "big")
    cdef char text[ID_BYTES]
    put_uuid(text, <const uint8_t *>PyBytes_AS_STRING(raw))
    return PyBytes_FromStringAndSize(text, ID_BYTES)

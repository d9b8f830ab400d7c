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
from libc.string cimport memchr, memcmp

from worker.http._bytes cimport (
    CERT, CODING, CONNECTION, FOR, HOP, HOST, HOST_NAME, LENGTH, OTHER, PATH, PROTO, QUERY,
    REQUEST_ID, SHOWN_HOST, TEXT, TOKEN, UNCOMMON, Table, fill, meaning, same,
)

from worker.http.requests import RequestHead
from worker.http.responses import Ends, ResponseHead

cdef Table TABLE
fill(&TABLE)

cdef enum:
    NO_LENGTH = -2
    IN_CHUNKS = -1     # `worker.http.fields.CHUNKED`
    LENGTH_DIGITS = 18

cdef object AT_ONCE = Ends.AT_ONCE
cdef object WITH_THE_CONNECTION = Ends.WITH_THE_CONNECTION
cdef dict NOTHING = {}
cdef tuple METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS")
cdef tuple FORWARDED = (
    b"x-forwarded-client-cert", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto",
    b"x-request-id",
)


cdef struct Line:
    const uint8_t *name
    Py_ssize_t name_bytes
    const uint8_t *value
    Py_ssize_t value_bytes
    const uint8_t *behind   # the next line; NULL if this is none that is common


cdef inline Line _line(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """The field at `at`: its value without the blanks before it, and it must have none behind it."""
    cdef Line line
    cdef const uint8_t *start = at
    line.behind = NULL
    while at < end and TABLE.of[at[0]] & TOKEN:
        at += 1
    line.name = start
    line.name_bytes = at - start
    if at == start or at >= end or at[0] != c":":
        return line
    at += 1
    while at < end and (at[0] == c" " or at[0] == c"\t"):
        at += 1
    start = at
    while at < end and TABLE.of[at[0]] & TEXT:
        at += 1
    if end - at < 2 or at[0] != c"\r" or at[1] != c"\n":
        return line
    if at > start and ((at - 1)[0] == c" " or (at - 1)[0] == c"\t"):
        return line
    line.value = start
    line.value_bytes = at - start
    line.behind = at + 2
    return line


cdef inline bytes _bytes(const uint8_t *at, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char *>at, size)


cdef inline long long _number(const uint8_t *at, Py_ssize_t size) noexcept nogil:
    """A length, -1 if it is none."""
    cdef long long found = 0
    cdef Py_ssize_t place
    if not 0 < size <= LENGTH_DIGITS:
        return -1
    for place in range(size):
        if not c"0" <= at[place] <= c"9":
            return -1
        found = found * 10 + (at[place] - c"0")
    return found


# What the fields of one hop say.
cdef struct Hop:
    long long length       # or IN_CHUNKS, NO_LENGTH
    bint has_connection
    bint closes


cdef inline bint _hears(Hop *hop, int kind, Line *line) noexcept nogil:
    """Take in a field of framing; False if it says something uncommon."""
    if kind == LENGTH:
        if hop.length != NO_LENGTH:
            return False
        hop.length = _number(line.value, line.value_bytes)
        return hop.length >= 0
    if kind == CODING:
        if hop.length != NO_LENGTH or line.value_bytes != 7 or not same(line.value, b"chunked", 7):
            return False
        hop.length = IN_CHUNKS
        return True
    if kind == CONNECTION:
        if hop.has_connection:
            return False
        hop.has_connection = True
        if line.value_bytes == 5 and same(line.value, b"close", 5):
            hop.closes = True
            return True
        return line.value_bytes == 10 and same(line.value, b"keep-alive", 10)
    return kind == HOP


cdef inline bint _is_host(const uint8_t *at, Py_ssize_t size) noexcept nogil:
    """A name or an IPv4 address, and perhaps a port."""
    cdef Py_ssize_t place = 0, digits = 0
    while place < size and TABLE.of[at[place]] & HOST:
        place += 1
    if place == 0 or place == size:
        return place > 0
    if at[place] != c":":
        return False
    while place + 1 + digits < size and c"0" <= at[place + 1 + digits] <= c"9":
        digits += 1
    return digits <= 5 and place + 1 + digits == size


def request(bytes data not None, Py_ssize_t max_bytes, Py_ssize_t max_fields):
    """The head at the start of `data` and where it ends; see `worker.http.reading.next_request`."""
    cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef const uint8_t *end = start + (size if size < max_bytes else max_bytes)
    cdef const uint8_t *at = start
    cdef const uint8_t *path
    cdef const uint8_t *query = NULL
    cdef Py_ssize_t path_bytes, query_bytes = 0, count = 0
    cdef object method = None
    cdef bytes host = None
    cdef list kept = []
    cdef dict forwarded = NOTHING
    cdef Hop hop
    cdef Line line
    cdef int kind
    method = _method(start, end)
    if method is None:
        return None
    at += PyBytes_GET_SIZE(method) + 1
    path = at
    while at < end and TABLE.of[at[0]] & PATH:
        if at[0] == c"/" and at + 1 < end and at[1] == c".":
            return None
        at += 1
    path_bytes = at - path
    if path_bytes == 0 or path[0] != c"/":
        return None
    if at < end and at[0] == c"?":
        at += 1
        query = at
        while at < end and TABLE.of[at[0]] & QUERY:
            at += 1
        query_bytes = at - query
    if end - at < 11 or memcmp(at, b" HTTP/1.1\r\n", 11):
        return None
    at += 11
    hop.length = NO_LENGTH
    hop.has_connection = hop.closes = False
    while True:
        if end - at < 2:
            return None
        if at[0] == c"\r":
            if at[1] != c"\n":
                return None
            at += 2
            break
        line = _line(at, end)
        if line.behind == NULL:
            return None
        count += 1
        kind = meaning(line.name, line.name_bytes)
        if kind == OTHER:
            if memchr(line.name, c"_", line.name_bytes) != NULL:
                return None
            kept.append((_bytes(line.name, line.name_bytes), _bytes(line.value, line.value_bytes)))
        elif kind == HOST_NAME:
            if host is not None or not _is_host(line.value, line.value_bytes):
                return None
            host = _bytes(line.value, line.value_bytes)
        elif kind >= CERT:
            if forwarded is NOTHING:
                forwarded = {}
            elif FORWARDED[kind - CERT] in forwarded:
                return None
            forwarded[FORWARDED[kind - CERT]] = _bytes(line.value, line.value_bytes)
        elif not _hears(&hop, kind, &line):
            return None
        at = line.behind
    if host is None or count > max_fields:
        return None
    return RequestHead(
        method=method,
        path=PyUnicode_DecodeLatin1(<const char *>path, path_bytes, NULL),
        query=PyUnicode_DecodeLatin1(<const char *>query, query_bytes, NULL) if query_bytes else "",
        host=host,
        minor=1,
        fields=tuple(kept),
        forwarded=forwarded,
        length=None if hop.length == NO_LENGTH else hop.length,
        keep_alive=not hop.closes,
        expects_continue=False,
        upgrade=b"",
    ), at - start


cdef object _method(const uint8_t *start, const uint8_t *end):
    """One of those that are common, if a blank is behind it."""
    cdef bytes method
    cdef Py_ssize_t size
    for method in METHODS:
        size = PyBytes_GET_SIZE(method)
        if end - start > size and start[size] == c" ":
            if memcmp(start, PyBytes_AS_STRING(method), size) == 0:
                return method
    return None


def response(bytes data not None, bytes method not None, Py_ssize_t max_bytes, Py_ssize_t max_fields):
    """The head at the start of `data` and where it ends; see `worker.http.reading.next_response`."""
    cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef const uint8_t *end = start + (size if size < max_bytes else max_bytes)
    cdef const uint8_t *at = start
    cdef const uint8_t *reason
    cdef Py_ssize_t reason_bytes, count = 0
    cdef int status, kind
    cdef list kept = []
    cdef Hop hop
    cdef Line line
    cdef object length, ends
    if end - at < 14 or memcmp(at, b"HTTP/1.1 ", 9) or at[12] != c" ":
        return None
    status = <int>_number(at + 9, 3)
    if not 200 <= status <= 599:
        return None
    at += 13
    reason = at
    while at < end and TABLE.of[at[0]] & TEXT:
        at += 1
    reason_bytes = at - reason
    if end - at < 2 or at[0] != c"\r" or at[1] != c"\n":
        return None
    at += 2
    hop.length = NO_LENGTH
    hop.has_connection = hop.closes = False
    while True:
        if end - at < 2:
            return None
        if at[0] == c"\r":
            if at[1] != c"\n":
                return None
            at += 2
            break
        line = _line(at, end)
        if line.behind == NULL:
            return None
        count += 1
        kind = meaning(line.name, line.name_bytes)
        if LENGTH <= kind <= CONNECTION:
            if not _hears(&hop, kind, &line):
                return None
        elif kind == UNCOMMON:
            return None
        elif kind != HOP:
            kept.append((_bytes(line.name, line.name_bytes), _bytes(line.value, line.value_bytes)))
        at = line.behind
    if count > max_fields:
        return None
    length = None if hop.length == NO_LENGTH else hop.length
    if status == 204 or status == 304 or method == b"HEAD":
        ends = AT_ONCE
    else:
        ends = WITH_THE_CONNECTION if length is None else length
    return ResponseHead(
        status=status,
        reason=_bytes(reason, reason_bytes),
        fields=tuple(kept),
        length=length,
        ends=ends,
        keep_alive=not hop.closes and ends is not WITH_THE_CONNECTION,
        upgrade=b"",
    ), at - start


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


cdef const char *HEX = b"0123456789abcdef"


def uuid(bits):
    """Of version 4 (RFC 9562), from 128 bits of chance."""
    cdef bytes raw = bits.to_bytes(16, "big")
    cdef const uint8_t *given = <const uint8_t *>PyBytes_AS_STRING(raw)
    cdef char text[36]
    cdef int at, to = 0
    cdef uint8_t byte
    for at in range(16):
        byte = given[at]
        if at == 6:
            byte = 0x40 | (byte & 0x0f)
        elif at == 8:
            byte = 0x80 | (byte & 0x3f)
        if at == 4 or at == 6 or at == 8 or at == 10:
            text[to] = c"-"
            to += 1
        text[to] = HEX[byte >> 4]
        text[to + 1] = HEX[byte & 15]
        to += 2
    return PyBytes_FromStringAndSize(text, 36)

# cython: language_level=3, boundscheck=False, wraparound=False
"""Common requests of HTTP/2 read outside Python: from fields to what its form in Python says of them, or None.

None: the fields are not common, or no request; then Python is asked (`heads`). So whatever two might read in two
ways is refused in one place, which is not here. Tests hold one against the other.

Belongs here: fields without surprises. Never here: a refusal, or unpacking them (`_hpack`). The types are in
`_fields.pyi`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport uint8_t
from libc.string cimport memchr

from worker.http._bytes cimport (
    CERT, HOP, HOST, LENGTH, OTHER, PATH, QUERY, TEXT, TOKEN, Table, fill, meaning,
)

from worker.http.requests import RequestHead

cdef Table TABLE
fill(&TABLE)

cdef enum:
    FIELD_BYTES = 32     # what a field costs beside its octets
    LENGTH_DIGITS = 18
    IN_CHUNKS = -1       # `worker.http.fields.CHUNKED`
    NO_LENGTH = -2

cdef dict NOTHING = {}
cdef frozenset METHODS = frozenset({b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})
cdef frozenset SCHEMES = frozenset({b"http", b"https"})
cdef tuple FORWARDED = (
    b"x-forwarded-client-cert", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto",
    b"x-request-id",
)


def request(list fields not None, bint has_body, Py_ssize_t max_bytes, Py_ssize_t max_fields):
    """See `_fields.pyi`."""
    cdef bytes name, value, method = None, path = None, scheme = None, host = None
    cdef list kept = [], crumbs = []
    cdef dict forwarded = NOTHING
    cdef long long length = NO_LENGTH
    cdef Py_ssize_t size = 0, count = 0, split
    cdef int kind
    cdef object field
    for field in fields:
        name, value = <tuple>field
        if PyBytes_GET_SIZE(name) and PyBytes_AS_STRING(name)[0] == c":":
            if count:
                return None
            if name == b":method" and method is None and value in METHODS:
                method = value
            elif name == b":path" and path is None:
                path = value
            elif name == b":scheme" and scheme is None and value in SCHEMES:
                scheme = value
            elif name == b":authority" and host is None and _is_host(value):
                host = value
            else:
                return None
            continue
        if not _is_name(name) or not _is_value(value):
            return None
        count += 1
        size += PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + FIELD_BYTES
        kind = meaning(<const uint8_t *>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        if kind == OTHER:
            if memchr(PyBytes_AS_STRING(name), c"_", PyBytes_GET_SIZE(name)) != NULL:
                return None
            if name == b"cookie":
                crumbs.append(value)
            else:
                kept.append(field)
        elif kind == LENGTH:
            if length != NO_LENGTH:
                return None
            length = _number(value)
            if length < 0:
                return None
        elif kind >= CERT:
            if forwarded is NOTHING:
                forwarded = {}
            elif name in forwarded:
                return None
            forwarded[name] = value
        elif kind != HOP or name != b"te" or value != b"trailers":
            return None
    if method is None or path is None or scheme is None or host is None or count > max_fields:
        return None
    if size + PyBytes_GET_SIZE(path) > max_bytes:
        return None
    split = _target(path)
    if split < 0 or (length > 0 and not has_body):
        return None
    if crumbs:
        kept.append((b"cookie", b"; ".join(crumbs)))
    if length == NO_LENGTH and has_body:
        length = IN_CHUNKS
    return RequestHead(
        method=method,
        path=PyUnicode_DecodeLatin1(PyBytes_AS_STRING(path), split, NULL),
        query=_query(path, split),
        host=host,
        minor=1,
        fields=tuple(kept),
        forwarded=forwarded,
        length=None if length == NO_LENGTH else length,
        keep_alive=True,
        expects_continue=False,
        upgrade=b"",
    )


cdef inline bint _is_name(bytes name) noexcept:
    """A token in lower case."""
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(name)
    cdef const uint8_t *end = at + PyBytes_GET_SIZE(name)
    if at == end:
        return False
    while at < end:
        if not TABLE.of[at[0]] & TOKEN or 0x41 <= at[0] <= 0x5a:
            return False
        at += 1
    return True


cdef inline bint _is_value(bytes value) noexcept:
    """Text without blanks around it."""
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(value)
    cdef const uint8_t *end = at + PyBytes_GET_SIZE(value)
    if at == end:
        return True
    if at[0] == c" " or at[0] == c"\t" or (end - 1)[0] == c" " or (end - 1)[0] == c"\t":
        return False
    while at < end:
        if not TABLE.of[at[0]] & TEXT:
            return False
        at += 1
    return True


cdef inline bint _is_host(bytes value) noexcept:
    """A name or an IPv4 address, and perhaps a port."""
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), place = 0, digits = 0
    while place < size and TABLE.of[at[place]] & HOST:
        place += 1
    if place == 0 or place == size:
        return place > 0
    if at[place] != c":":
        return False
    while place + 1 + digits < size and c"0" <= at[place + 1 + digits] <= c"9":
        digits += 1
    return digits <= 5 and place + 1 + digits == size


cdef inline long long _number(bytes value) noexcept:
    """A length, -1 if it is none."""
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), place
    cdef long long found = 0
    if not 0 < size <= LENGTH_DIGITS:
        return -1
    for place in range(size):
        if not c"0" <= at[place] <= c"9":
            return -1
        found = found * 10 + (at[place] - c"0")
    return found


cdef inline Py_ssize_t _target(bytes target) noexcept:
    """How long the path is, which is as it should be, before its query; -1 if it is not."""
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(target)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(target), place = 0, path_bytes
    if not size or at[0] != c"/":
        return -1
    while place < size and TABLE.of[at[place]] & PATH:
        if at[place] == c"/" and place + 1 < size and at[place + 1] == c".":
            return -1
        place += 1
    path_bytes = place
    if place < size and at[place] == c"?":
        place += 1
        while place < size and TABLE.of[at[place]] & QUERY:
            place += 1
    return path_bytes if place == size else -1


cdef inline str _query(bytes target, Py_ssize_t path_bytes):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(target) - path_bytes - 1
    if size <= 0:
        return ""
    return PyUnicode_DecodeLatin1(PyBytes_AS_STRING(target) + path_bytes + 1, size, NULL)

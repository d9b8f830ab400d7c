"""Which bytes may stand where in a head, as a table, and which names of fields mean something to a gateway.

Belongs here: what `worker.http.grammar` and `fields` say, for code without Python. Never here: a whole head.
"""

from libc.stdint cimport uint8_t

# Bits of a byte in `Table`.
cdef enum:
    TOKEN = 1    # RFC 9110 section 5.6.2
    TEXT = 2     # of a field's value
    PATH = 4     # of a path that is as it should be (`cluster.http.target`)
    QUERY = 8    # of a query
    HOST = 16    # of the hosts that are common: no address in brackets, nothing escaped

# What a field's name means.
cdef enum:
    OTHER = 0
    HOP = 1          # of one hop, and says nothing that matters here
    HOST_NAME = 2
    LENGTH = 3
    CODING = 4
    CONNECTION = 5
    UNCOMMON = 6     # decides something that is left to Python
    CERT = 7         # these five are written by proxies
    FOR = 8
    SHOWN_HOST = 9
    PROTO = 10
    REQUEST_ID = 11


cdef struct Table:
    uint8_t of[256]


cdef inline void fill(Table *table) noexcept nogil:
    cdef int at
    cdef uint8_t bits
    for at in range(256):
        bits = 0
        if _alnum(at) or _among(at, b"!#$%&'*+-.^_`|~"):
            bits |= TOKEN
        if at == 9 or 0x20 <= at <= 0x7e or at >= 0x80:
            bits |= TEXT
        if _alnum(at) or _among(at, b"-._~!$&'()*+,;=:@/"):
            bits |= PATH
        if 0x21 <= at <= 0x7e and at != 0x23:
            bits |= QUERY
        if _alnum(at) or _among(at, b"-._"):
            bits |= HOST
        table.of[at] = bits


cdef inline bint _alnum(int byte) noexcept nogil:
    return 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5a or 0x61 <= byte <= 0x7a


cdef inline bint _among(int byte, const char *some) noexcept nogil:
    while some[0]:
        if <uint8_t>some[0] == byte:
            return True
        some += 1
    return False


cdef inline bint same(const uint8_t *name, const char *wanted, Py_ssize_t size) noexcept nogil:
    """Whether `size` bytes are `wanted`, which is in lower case, whatever the case of theirs."""
    cdef Py_ssize_t at
    cdef uint8_t byte
    for at in range(size):
        byte = name[at]
        if 0x41 <= byte <= 0x5a:
            byte |= 0x20
        if byte != <uint8_t>wanted[at]:
            return False
    return True


cdef inline int meaning(const uint8_t *name, Py_ssize_t size) noexcept nogil:
    """What a field of this name means, by its length first: most are told by that."""
    if size == 2:
        return HOP if same(name, b"te", 2) else OTHER
    if size == 4:
        return HOST_NAME if same(name, b"host", 4) else OTHER
    if size == 5:  # may be named by `Connection` without being meant
        return UNCOMMON if same(name, b"close", 5) else OTHER
    if size == 6:
        return UNCOMMON if same(name, b"expect", 6) else OTHER
    if size == 7:
        return UNCOMMON if same(name, b"upgrade", 7) else OTHER
    if size == 10:
        if same(name, b"connection", 10):
            return CONNECTION
        return HOP if same(name, b"keep-alive", 10) else OTHER
    if size == 12:
        return REQUEST_ID if same(name, b"x-request-id", 12) else OTHER
    if size == 14:
        if same(name, b"content-length", 14):
            return LENGTH
        return HOP if same(name, b"http2-settings", 14) else OTHER
    if size == 15:
        return FOR if same(name, b"x-forwarded-for", 15) else OTHER
    if size == 16:
        if same(name, b"x-forwarded-host", 16):
            return SHOWN_HOST
        return HOP if same(name, b"proxy-connection", 16) else OTHER
    if size == 17:
        if same(name, b"transfer-encoding", 17):
            return CODING
        return PROTO if same(name, b"x-forwarded-proto", 17) else OTHER
    if size == 23:
        return CERT if same(name, b"x-forwarded-client-cert", 23) else OTHER
    return OTHER

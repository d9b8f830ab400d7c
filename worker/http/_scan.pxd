"""Common heads, scanned: where their parts lie. What is not whole, not common or not HTTP is told by False.

What two programs might read in two ways is refused in one place, which is not here (`requests`, `responses`).

Belongs here: looking. Never here: a value of Python (`_heads`), or what is written (`_written`).
"""

from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp

from worker.http._bytes cimport (
    CERT, CODING, CONNECTION, HOP, HOST, HOST_NAME, LENGTH, OTHER, PATH, QUERY, TEXT, TOKEN,
    UNCOMMON, Table, meaning, same,
)

cdef enum:
    NO_LENGTH = -2
    IN_CHUNKS = -1      # `worker.http.fields.CHUNKED`
    LENGTH_DIGITS = 18
    MOST_LINES = 128    # of one head, whatever its limits are
    FORWARDED_NAMES = 5  # from CERT on


cdef struct Line:
    const uint8_t *name
    Py_ssize_t name_bytes
    const uint8_t *value
    Py_ssize_t value_bytes
    const uint8_t *behind   # the next line; NULL if this is none that is common


# What the fields of one hop say.
cdef struct Hop:
    long long length       # or IN_CHUNKS, NO_LENGTH
    bint has_connection
    bint closes


cdef struct Scan:
    const uint8_t *start
    Py_ssize_t size        # of the whole head
    int status             # of an answer
    const uint8_t *first   # the method, or the words behind a status
    Py_ssize_t first_bytes
    const uint8_t *path
    Py_ssize_t path_bytes
    const uint8_t *query
    Py_ssize_t query_bytes
    const uint8_t *host
    Py_ssize_t host_bytes
    Hop hop
    int kept               # lines that go from end to end
    Line lines[MOST_LINES]
    Line forwarded[FORWARDED_NAMES]  # a name of NULL: there is none


cdef inline Line scan_line(const Table *table, const uint8_t *at, const uint8_t *end) noexcept nogil:
    """The field at `at`: its value without the blanks before it, and it must have none behind it."""
    cdef Line line
    cdef const uint8_t *start = at
    line.behind = NULL
    while at < end and table.of[at[0]] & TOKEN:
        at += 1
    line.name = start
    line.name_bytes = at - start
    if at == start or at >= end or at[0] != c":":
        return line
    at += 1
    while at < end and (at[0] == c" " or at[0] == c"\t"):
        at += 1
    start = at
    while at < end and table.of[at[0]] & TEXT:
        at += 1
    if end - at < 2 or at[0] != c"\r" or at[1] != c"\n":
        return line
    if at > start and ((at - 1)[0] == c" " or (at - 1)[0] == c"\t"):
        return line
    line.value = start
    line.value_bytes = at - start
    line.behind = at + 2
    return line


cdef inline long long scan_number(const uint8_t *at, Py_ssize_t size) noexcept nogil:
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


cdef inline bint hears(Hop *hop, int kind, Line *line) noexcept nogil:
    """Take in a field of framing; False if it says something uncommon."""
    if kind == LENGTH:
        if hop.length != NO_LENGTH:
            return False
        hop.length = scan_number(line.value, line.value_bytes)
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


cdef inline bint is_host(const Table *table, const uint8_t *at, Py_ssize_t size) noexcept nogil:
    """A name or an IPv4 address, and perhaps a port."""
    cdef Py_ssize_t place = 0, digits = 0
    while place < size and table.of[at[place]] & HOST:
        place += 1
    if place == 0 or place == size:
        return place > 0
    if at[place] != c":":
        return False
    while place + 1 + digits < size and c"0" <= at[place + 1 + digits] <= c"9":
        digits += 1
    return digits <= 5 and place + 1 + digits == size


cdef inline bint _is_method(const uint8_t *at, Py_ssize_t size) noexcept nogil:
    """Whether it is one of those that are common."""
    if size == 3:
        return memcmp(at, b"GET", 3) == 0 or memcmp(at, b"PUT", 3) == 0
    if size == 4:
        return memcmp(at, b"POST", 4) == 0 or memcmp(at, b"HEAD", 4) == 0
    if size == 5:
        return memcmp(at, b"PATCH", 5) == 0
    if size == 6:
        return memcmp(at, b"DELETE", 6) == 0
    return size == 7 and memcmp(at, b"OPTIONS", 7) == 0


cdef inline const uint8_t *_request_line(const Table *table, const uint8_t *at, const uint8_t *end, Scan *found) noexcept nogil:
    """What is behind it; NULL if it is none that is common."""
    found.first = at
    while at < end and table.of[at[0]] & TOKEN:
        at += 1
    found.first_bytes = at - found.first
    if at >= end or at[0] != c" " or not _is_method(found.first, found.first_bytes):
        return NULL
    at += 1
    found.path = at
    while at < end and table.of[at[0]] & PATH:
        if at[0] == c"/" and at + 1 < end and at[1] == c".":
            return NULL
        at += 1
    found.path_bytes = at - found.path
    if found.path_bytes == 0 or found.path[0] != c"/":
        return NULL
    found.query_bytes = 0
    if at < end and at[0] == c"?":
        at += 1
        found.query = at
        while at < end and table.of[at[0]] & QUERY:
            at += 1
        found.query_bytes = at - found.query
    if end - at < 11 or memcmp(at, b" HTTP/1.1\r\n", 11):
        return NULL
    return at + 11


cdef inline bint scan_request(const Table *table, const uint8_t *start, Py_ssize_t size, Py_ssize_t max_fields, Scan *found) noexcept nogil:
    """A request's head at the start of these bytes."""
    cdef const uint8_t *end = start + size
    cdef const uint8_t *at = _request_line(table, start, end, found)
    cdef Py_ssize_t count = 0
    cdef Line line
    cdef int kind
    if at == NULL:
        return False
    found.start = start
    found.host = NULL
    found.kept = 0
    found.hop.length = NO_LENGTH
    found.hop.has_connection = found.hop.closes = False
    for kind in range(FORWARDED_NAMES):
        found.forwarded[kind].name = NULL
    while True:
        if end - at < 2:
            return False
        if at[0] == c"\r":
            if at[1] != c"\n":
                return False
            at += 2
            break
        line = scan_line(table, at, end)
        if line.behind == NULL or count == MOST_LINES:
            return False
        count += 1
        kind = meaning(line.name, line.name_bytes)
        if kind == OTHER:
            if memchr(line.name, c"_", line.name_bytes) != NULL:
                return False
            found.lines[found.kept] = line
            found.kept += 1
        elif kind == HOST_NAME:
            if found.host != NULL or not is_host(table, line.value, line.value_bytes):
                return False
            found.host = line.value
            found.host_bytes = line.value_bytes
        elif kind >= CERT:
            if found.forwarded[kind - CERT].name != NULL:
                return False
            found.forwarded[kind - CERT] = line
        elif not hears(&found.hop, kind, &line):
            return False
        at = line.behind
    found.size = at - start
    return found.host != NULL and count <= max_fields


cdef inline bint scan_response(const Table *table, const uint8_t *start, Py_ssize_t size, Py_ssize_t max_fields, Scan *found) noexcept nogil:
    """An answer's head at the start of these bytes."""
    cdef const uint8_t *end = start + size
    cdef const uint8_t *at = start
    cdef Py_ssize_t count = 0
    cdef Line line
    cdef int kind
    if end - at < 14 or memcmp(at, b"HTTP/1.1 ", 9) or at[12] != c" ":
        return False
    found.status = <int>scan_number(at + 9, 3)
    if not 200 <= found.status <= 599:
        return False
    at += 13
    found.start = start
    found.first = at
    while at < end and table.of[at[0]] & TEXT:
        at += 1
    found.first_bytes = at - found.first
    if end - at < 2 or at[0] != c"\r" or at[1] != c"\n":
        return False
    at += 2
    found.kept = 0
    found.hop.length = NO_LENGTH
    found.hop.has_connection = found.hop.closes = False
    while True:
        if end - at < 2:
            return False
        if at[0] == c"\r":
            if at[1] != c"\n":
                return False
            at += 2
            break
        line = scan_line(table, at, end)
        if line.behind == NULL or count == MOST_LINES:
            return False
        count += 1
        kind = meaning(line.name, line.name_bytes)
        if LENGTH <= kind <= CONNECTION:
            if not hears(&found.hop, kind, &line):
                return False
        elif kind == UNCOMMON:
            return False
        elif kind != HOP:
            found.lines[found.kept] = line
            found.kept += 1
        at = line.behind
    found.size = at - start
    return count <= max_fields

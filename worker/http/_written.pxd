"""Heads written straight from what was scanned: the same bytes as `worker.http.heads` gives.

Belongs here: writing into a buffer that is known to be large enough (`room_for`). Never here: what a caller is
told or believed, which is the plan's to say (`_plan`).
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from worker.http._scan cimport IN_CHUNKS, NO_LENGTH, Line, Scan

cdef enum:
    ID_BYTES = 36
    #: More than all names and ends of lines that are written besides what was read.
    WORDS_BYTES = 512
    # Places of `Scan.forwarded`.
    SEEN_CERT = 0
    SEEN_FOR = 1
    SEEN_HOST = 2
    SEEN_PROTO = 3
    SEEN_ID = 4


# What is told of the hop before us (`worker.http.heads.Hop`).
cdef struct Told:
    const char *address
    Py_ssize_t address_bytes
    const char *scheme
    Py_ssize_t scheme_bytes
    const char *cert
    Py_ssize_t cert_bytes
    bint is_believed     # what the caller says of earlier hops, besides their addresses and the id
    bint replaces_cert


cdef inline Py_ssize_t room_for(Scan *found, Told *told, Py_ssize_t host_bytes) noexcept nogil:
    """The most that the head which is written may take: each line may get a blank more."""
    return found.size + found.kept + host_bytes + found.host_bytes + told.address_bytes + told.scheme_bytes + told.cert_bytes + WORDS_BYTES


cdef inline char *put(char *to, const void *data, Py_ssize_t size) noexcept nogil:
    memcpy(to, data, size)
    return to + size


cdef inline char *put_number(char *to, long long number) noexcept nogil:
    cdef char digits[24]
    cdef int count = 0
    while True:
        digits[count] = <char>(c"0" + number % 10)
        count += 1
        number //= 10
        if number == 0:
            break
    while count:
        count -= 1
        to[0] = digits[count]
        to += 1
    return to


cdef inline char *put_lines(char *to, Scan *found) noexcept nogil:
    cdef Line *line
    cdef int place
    for place in range(found.kept):
        line = &found.lines[place]
        to = put(to, line.name, line.name_bytes)
        to = put(to, b": ", 2)
        to = put(to, line.value, line.value_bytes)
        to = put(to, b"\r\n", 2)
    return to


cdef inline bint _says(Line *line) noexcept nogil:
    return line.name != NULL and line.value_bytes > 0


cdef inline char *put_request(char *to, Scan *found, Told *told, const char *host, Py_ssize_t host_bytes, const char *request_id) noexcept nogil:
    """As `worker.http.heads.request_head`; `request_id` is of `ID_BYTES`."""
    to = put(to, found.first, found.first_bytes)
    to = put(to, b" ", 1)
    to = put(to, found.path, found.path_bytes)
    if found.query_bytes:
        to = put(to, b"?", 1)
        to = put(to, found.query, found.query_bytes)
    to = put(to, b" HTTP/1.1\r\nhost: ", 17)
    to = put(to, host, host_bytes)
    to = put(to, b"\r\n", 2)
    to = put_lines(to, found)
    to = _put_forwarded(to, found, told, request_id)
    if found.hop.length != NO_LENGTH:
        to = put(to, b"content-length: ", 16)
        to = put_number(to, found.hop.length)
        to = put(to, b"\r\n", 2)
    return put(to, b"\r\n", 2)


cdef inline char *_put_forwarded(char *to, Scan *found, Told *told, const char *request_id) noexcept nogil:
    cdef Line *seen = &found.forwarded[SEEN_FOR]
    to = put(to, b"x-forwarded-for: ", 17)
    if _says(seen):
        to = put(to, seen.value, seen.value_bytes)
        to = put(to, b",", 1)
    to = put(to, told.address, told.address_bytes)
    to = put(to, b"\r\nx-forwarded-proto: ", 21)
    seen = &found.forwarded[SEEN_PROTO]
    if told.is_believed and _says(seen):
        to = put(to, seen.value, seen.value_bytes)
    else:
        to = put(to, told.scheme, told.scheme_bytes)
    to = put(to, b"\r\nx-request-id: ", 16)
    seen = &found.forwarded[SEEN_ID]
    if _says(seen):
        to = put(to, seen.value, seen.value_bytes)
    else:
        to = put(to, request_id, ID_BYTES)
    to = put(to, b"\r\nx-forwarded-host: ", 20)
    seen = &found.forwarded[SEEN_HOST]
    if told.is_believed and _says(seen):
        to = put(to, seen.value, seen.value_bytes)
    else:
        to = put(to, found.host, found.host_bytes)
    to = put(to, b"\r\n", 2)
    return _put_cert(to, &found.forwarded[SEEN_CERT], told)


cdef inline char *_put_cert(char *to, Line *seen, Told *told) noexcept nogil:
    cdef bint is_kept = told.is_believed and not told.replaces_cert and _says(seen)
    if not is_kept and told.cert_bytes == 0:
        return to
    to = put(to, b"x-forwarded-client-cert: ", 25)
    if is_kept:
        to = put(to, seen.value, seen.value_bytes)
        if told.cert_bytes:
            to = put(to, b",", 1)
    to = put(to, told.cert, told.cert_bytes)
    return put(to, b"\r\n", 2)


cdef inline char *put_response(char *to, Scan *found, bint has_body) noexcept nogil:
    """As `worker.http.heads.response_head`, for a caller of HTTP/1.1 whose connection is kept."""
    to = put(to, b"HTTP/1.1 ", 9)
    to = put_number(to, found.status)
    to = put(to, b" ", 1)
    to = put(to, found.first, found.first_bytes)
    to = put(to, b"\r\n", 2)
    to = put_lines(to, found)
    if found.status != 204:
        if found.hop.length >= 0:
            to = put(to, b"content-length: ", 16)
            to = put_number(to, found.hop.length)
            to = put(to, b"\r\n", 2)
        elif has_body:
            to = put(to, b"transfer-encoding: chunked\r\n", 28)
    return put(to, b"\r\n", 2)


cdef inline uint64_t next_chance(uint64_t *state) noexcept nogil:
    """SplitMix64 (Steele, Lea, Flood): no secret, and good enough to tell requests apart."""
    cdef uint64_t mixed
    state[0] += 0x9E3779B97F4A7C15ULL
    mixed = state[0]
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL
    return mixed ^ (mixed >> 31)


cdef inline void put_uuid(char *to, const uint8_t *bits) noexcept nogil:
    """Of version 4 (RFC 9562), from 16 bytes of chance; `ID_BYTES` are written."""
    cdef const char *digits = b"0123456789abcdef"
    cdef int at
    cdef uint8_t byte
    for at in range(16):
        byte = bits[at]
        if at == 6:
            byte = 0x40 | (byte & 0x0f)
        elif at == 8:
            byte = 0x80 | (byte & 0x3f)
        if at == 4 or at == 6 or at == 8 or at == 10:
            to[0] = c"-"
            to += 1
        to[0] = digits[byte >> 4]
        to[1] = digits[byte & 15]
        to += 2

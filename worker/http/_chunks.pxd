"""Bodies in chunks that are there whole, without extensions and trailers.

Belongs here: what is left of `worker.http.bodies.ChunkedBody` then. Never here: a refusal.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memcpy

cdef enum:
    SIZE_DIGITS = 7


cdef inline int _digit(uint8_t byte) noexcept nogil:
    if c"0" <= byte <= c"9":
        return byte - c"0"
    byte |= 0x20
    if c"a" <= byte <= c"f":
        return byte - c"a" + 10
    return -1


cdef inline const uint8_t *_size_line(const uint8_t *at, const uint8_t *end, Py_ssize_t *size) noexcept nogil:
    """What is behind it; NULL if it is none that is common."""
    cdef int count = 0, digit
    size[0] = 0
    while at < end and count <= SIZE_DIGITS:
        digit = _digit(at[0])
        if digit < 0:
            break
        size[0] = size[0] * 16 + digit
        count += 1
        at += 1
    if not 0 < count <= SIZE_DIGITS or end - at < 2 or at[0] != c"\r" or at[1] != c"\n":
        return NULL
    return at + 2


cdef inline Py_ssize_t content_of(const uint8_t *at, Py_ssize_t bytes_there, char *into) noexcept nogil:
    """How many bytes of content were written; -1 if this is not one whole body, and nothing else."""
    cdef const uint8_t *end = at + bytes_there
    cdef Py_ssize_t size, content = 0
    while True:
        at = _size_line(at, end, &size)
        if at == NULL or end - at < size + 2:
            return -1
        if at[size] != c"\r" or at[size + 1] != c"\n":
            return -1
        if into != NULL:
            memcpy(into + content, at, size)
        content += size
        at += size + 2
        if size == 0:
            return content if at == end else -1


cdef inline char *put_chunk(char *to, const uint8_t *at, Py_ssize_t bytes_there) noexcept nogil:
    """The same body as one chunk (`worker.http.exchange.framed`); NULL as there."""
    cdef const char *digits = b"0123456789abcdef"
    cdef Py_ssize_t left, content = content_of(at, bytes_there, NULL)
    cdef int shift = 0
    if content < 0:
        return NULL
    if content > 0:
        left = content
        while left >> (shift + 4):
            shift += 4
        while shift >= 0:
            to[0] = digits[(content >> shift) & 15]
            to += 1
            shift -= 4
        to[0] = c"\r"
        to[1] = c"\n"
        content_of(at, bytes_there, to + 2)
        to += content + 2
        to[0] = c"\r"
        to[1] = c"\n"
        to += 2
    memcpy(to, b"0\r\n\r\n", 5)
    return to + 5

"""The server name of a ClientHello that is whole, in one record, and without fault; else nothing.

Belongs here: a reader that is at least as strict as `worker.tls.clienthello`, whose rules these are: where
that one refuses, or finds no name, this one says nothing. Never here: a reason, as nobody would hear it.
"""

from libc.stdint cimport uint8_t

cdef enum:
    RECORD_HEADER = 5
    MOST_RECORD = 16384
    MOST_NAME = 255
    MOST_EXTENSIONS = 64
    SERVER_NAME = 0
    ALPN = 16
    SUPPORTED_VERSIONS = 43


# What is left to read of a vector.
cdef struct Part:
    const uint8_t *at
    int left


cdef inline int hello_name(const uint8_t *data, int size, char *name, int *length) noexcept nogil:
    """The length of the name that was written to `name` (MOST_NAME bytes), 0 for none.

    `length` is then what the hello takes on the wire.
    """
    cdef Part message
    cdef int record
    if size < RECORD_HEADER + 4 or data[0] != 22 or data[1] != 3:
        return 0
    record = (data[3] << 8) | data[4]
    if not 4 < record <= MOST_RECORD or size < RECORD_HEADER + record:
        return 0
    message.at = data + RECORD_HEADER
    message.left = record
    if message.at[0] != 1 or _number(message.at + 1, 3) != record - 4:
        return 0
    length[0] = RECORD_HEADER + record
    _skip(&message, 4)
    return _name_of(&message, name)


cdef inline int _name_of(Part *message, char *name) noexcept nogil:
    """The fields of a ClientHello in their order (RFC 8446 section 4.1.2)."""
    cdef Part session_id, suites, compression, extensions
    if message.left < 34 or message.at[0] != 3:
        return 0
    _skip(message, 34)
    if not _vector(message, 1, &session_id) or session_id.left > 32:
        return 0
    if not _vector(message, 2, &suites) or suites.left < 2 or suites.left % 2:
        return 0
    if not _vector(message, 1, &compression) or compression.left == 0:
        return 0
    if not _vector(message, 2, &extensions) or message.left != 0:
        return 0
    return _name_in(&extensions, name)


cdef inline int _name_in(Part *extensions, char *name) noexcept nogil:
    cdef int seen[MOST_EXTENSIONS]
    cdef Part content
    cdef int kind, count = 0, found = 0
    while extensions.left > 0:
        if extensions.left < 4 or count == MOST_EXTENSIONS:
            return 0
        kind = _number(extensions.at, 2)
        _skip(extensions, 2)
        if _is_among(kind, seen, count) or not _vector(extensions, 2, &content):
            return 0
        seen[count] = kind
        count += 1
        if kind == SERVER_NAME:
            found = _host(&content, name)
            if found == 0:
                return 0
        elif kind == ALPN and not _are_protocols(&content):
            return 0
        elif kind == SUPPORTED_VERSIONS and not _are_versions(&content):
            return 0
    return found


cdef inline bint _is_among(int kind, int *seen, int count) noexcept nogil:
    cdef int at
    for at in range(count):
        if seen[at] == kind:
            return True
    return False


cdef inline int _host(Part *content, char *name) noexcept nogil:
    """RFC 6066 section 3: one host name, lower-cased here."""
    cdef Part names, host
    cdef int at
    cdef uint8_t byte
    if not _vector(content, 2, &names) or content.left != 0 or names.left < 1 or names.at[0] != 0:
        return 0
    _skip(&names, 1)
    if not _vector(&names, 2, &host) or names.left != 0 or not 0 < host.left <= MOST_NAME:
        return 0
    for at in range(host.left):
        byte = host.at[at]
        if b'A' <= byte <= b'Z':
            byte += 32
        elif not (b'a' <= byte <= b'z' or b'0' <= byte <= b'9' or byte in (b'-', b'_', b'.')):
            return 0
        name[at] = <char>byte
    if byte == b'.' or b'0' <= byte <= b'9':
        return 0  # a trailing dot, or maybe an address
    return host.left


cdef inline bint _are_protocols(Part *content) noexcept nogil:
    cdef Part names, name
    if not _vector(content, 2, &names) or content.left != 0 or names.left == 0:
        return False
    while names.left > 0:
        if not _vector(&names, 1, &name) or name.left == 0:
            return False
    return True


cdef inline bint _are_versions(Part *content) noexcept nogil:
    cdef Part versions
    return (
        _vector(content, 1, &versions)
        and content.left == 0
        and versions.left > 0
        and versions.left % 2 == 0
    )


cdef inline bint _vector(Part *part, int width, Part *inside) noexcept nogil:
    """A vector with a length of `width` bytes before it (RFC 8446 section 3.4), all of it there."""
    if part.left < width:
        return False
    inside.left = _number(part.at, width)
    _skip(part, width)
    inside.at = part.at
    if part.left < inside.left:
        return False
    _skip(part, inside.left)
    return True


cdef inline int _number(const uint8_t *at, int width) noexcept nogil:
    cdef int number = 0, place
    for place in range(width):
        number = (number << 8) | at[place]
    return number


cdef inline void _skip(Part *part, int count) noexcept nogil:
    part.at += count
    part.left -= count

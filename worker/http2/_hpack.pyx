# cython: language_level=3, boundscheck=False, wraparound=False
"""Fields of HTTP/2 packed and unpacked (HPACK, RFC 7541) outside Python: in place of `hpack`'s two classes.

Who unpacks says what `hpack` says of the same octets, refusals included; the tables of the standard are taken from
there. Who packs may choose: what differs from request to request is not remembered, and what is secret is never to
be (sections 6.2.2 and 6.2.3). Both tables are as large as the other side lets them be, never larger.

Belongs here: field blocks. Never here: frames, or what a field means. The types are in `_hpack.pyi`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from hpack.exceptions import (
    HPACKDecodingError, InvalidTableIndexError, InvalidTableSizeError, OversizedHeaderListError,
)
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import HUFFMAN_TABLE
from hpack.table import HeaderTable

cdef enum:
    STATIC = 61
    ENTRY_BYTES = 32       # what an entry counts beside its octets (section 4.1)
    TABLE_BYTES = 4096     # of a table about which nothing was said
    INTEGER_OCTETS = 5     # behind its prefix; for 32 bits that is enough
    COMPLETE = 1           # of the library's table for unpacking
    EMITS = 2
    FAILS = 4
    INDEXED = 0x80         # how a field is written (section 6)
    REMEMBERED = 0x40
    RESIZED = 0x20
    NEVER = 0x10
    NOT_REMEMBERED = 0x00

#: Different nearly each time.
cdef frozenset PASSING = frozenset({
    b":path", b"age", b"content-length", b"etag", b"if-modified-since", b"if-none-match", b"last-modified",
    b"location", b"x-request-id",
})
#: Nobody behind us is to remember them either.
cdef frozenset SECRET = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"})

cdef tuple FIXED = tuple(tuple(field) for field in HeaderTable.STATIC_TABLE)
cdef dict WHOLE = {}
cdef dict NAMES = {}

cdef uint32_t codes[256]
cdef uint8_t code_bits[256]
cdef uint8_t next_state[4096]
cdef uint8_t flags_of[4096]
cdef uint8_t symbol_of[4096]


def _fill():
    for at in range(STATIC, 0, -1):
        WHOLE[FIXED[at - 1]] = at
        NAMES[FIXED[at - 1][0]] = at
    for at in range(256):
        codes[at] = REQUEST_CODES[at]
        code_bits[at] = REQUEST_CODES_LENGTH[at]
    for at, (state, flags, symbol) in enumerate(HUFFMAN_TABLE):
        next_state[at] = state
        flags_of[at] = flags
        symbol_of[at] = symbol


_fill()


cdef inline Py_ssize_t _size(tuple field):
    return PyBytes_GET_SIZE(field[0]) + PyBytes_GET_SIZE(field[1]) + ENTRY_BYTES


cdef class Table:
    """The entries that both sides remember, the newest last."""

    cdef list entries
    cdef Py_ssize_t gone      # that many at the start of `entries` are forgotten
    cdef Py_ssize_t size, most

    def __cinit__(self):
        self.entries = []
        self.most = TABLE_BYTES

    cdef inline Py_ssize_t count(self):
        return len(self.entries) - self.gone

    cdef tuple at(self, int64_t index):
        """By its number, from 1; None if there is none."""
        if 1 <= index <= STATIC:
            return <tuple>FIXED[<Py_ssize_t>index - 1]
        index -= STATIC
        if 1 <= index <= self.count():
            return <tuple>self.entries[len(self.entries) - <Py_ssize_t>index]
        return None

    cdef int add(self, tuple field) except -1:
        cdef Py_ssize_t size = _size(field)
        self.shrink(self.most - size)
        if size <= self.most:
            self.entries.append(field)
            self.size += size
        return 0

    cdef int shrink(self, Py_ssize_t most) except -1:
        """Forget the oldest, until the others take no more than that."""
        cdef tuple field
        while self.size > most and self.count():
            field = <tuple>self.entries[self.gone]
            self.entries[self.gone] = None
            self.gone += 1
            self.size -= _size(field)
            self.forgotten(field)
        if self.gone > 32 and self.gone * 2 > len(self.entries):
            self.compacted(self.gone)
            del self.entries[: self.gone]
            self.gone = 0
        return 0

    cdef int forgotten(self, tuple field) except -1:
        return 0

    cdef int compacted(self, Py_ssize_t count) except -1:
        return 0

    @property
    def header_table_size(self):
        return self.most


cdef class Decoder(Table):
    """See `_hpack.pyi`."""

    cdef public Py_ssize_t max_header_list_size
    cdef public Py_ssize_t max_allowed_table_size
    cdef const uint8_t *octet
    cdef const uint8_t *end

    def __init__(self, Py_ssize_t max_header_list_size=65536):
        self.max_header_list_size = max_header_list_size
        self.max_allowed_table_size = TABLE_BYTES

    def decode(self, bytes data not None, bint raw=True, Py_ssize_t start=0):
        cdef list found = []
        cdef Py_ssize_t left = self.max_header_list_size
        cdef tuple field
        cdef uint8_t first
        cdef int64_t number
        self.octet = <const uint8_t *>PyBytes_AS_STRING(data) + start
        self.end = <const uint8_t *>PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data)
        while self.octet < self.end:
            first = self.octet[0]
            if first & INDEXED:
                field = self._entry(self._integer(7))
            elif first & REMEMBERED:
                field = self._literal(6)
                self.add(field)
            elif first & RESIZED:
                if found:
                    raise HPACKDecodingError("Table size update not at the start of the block")
                number = self._integer(5)
                if number > self.max_allowed_table_size:
                    raise InvalidTableSizeError("Encoder exceeded max allowable table size")
                self.most = <Py_ssize_t>number
                self.shrink(self.most)
                continue
            else:
                field = self._literal(4)
            found.append(field)
            left -= _size(field)
            if left < 0:
                raise OversizedHeaderListError(
                    f"A header list larger than {self.max_header_list_size} has been received"
                )
        if self.most > self.max_allowed_table_size:
            raise InvalidTableSizeError("Encoder did not shrink table size to within the max")
        return found

    cdef int64_t _integer(self, int bits) except -1:
        """Section 5.1."""
        cdef int64_t most = (1 << bits) - 1
        cdef int64_t found
        cdef int shift = 0, count = 1
        cdef uint8_t octet
        if self.octet >= self.end:
            raise HPACKDecodingError("Unable to decode HPACK integer representation")
        found = self.octet[0] & most
        self.octet += 1
        if found < most:
            return found
        while True:
            if self.octet >= self.end:
                raise HPACKDecodingError("Unable to decode HPACK integer representation")
            octet = self.octet[0]
            self.octet += 1
            count += 1
            found += <int64_t>(octet & 0x7f) << shift
            if octet < 0x80:
                return found
            shift += 7
            if count > INTEGER_OCTETS:
                raise HPACKDecodingError("Variable integer representation is too long")

    cdef tuple _entry(self, int64_t index):
        cdef tuple field = self.at(index)
        if field is None:
            raise InvalidTableIndexError(f"Invalid table index {index}")
        return field

    cdef tuple _literal(self, int bits):
        cdef bytes name
        if self.octet[0] & ((1 << bits) - 1):
            name = <bytes>self._entry(self._integer(bits))[0]
        else:
            self.octet += 1
            name = self._string()
        return (name, self._string())

    cdef bytes _string(self):
        """Section 5.2."""
        cdef bint is_packed
        cdef int64_t size
        cdef const uint8_t *start
        if self.octet >= self.end:
            raise HPACKDecodingError("Unable to decode HPACK integer representation")
        is_packed = self.octet[0] & 0x80
        size = self._integer(7)
        if size > self.end - self.octet:
            raise HPACKDecodingError("Truncated header block")
        start = self.octet
        self.octet += size
        if is_packed:
            return _unpacked(start, <Py_ssize_t>size)
        return PyBytes_FromStringAndSize(<const char *>start, <Py_ssize_t>size)


cdef bytes _unpacked(const uint8_t *data, Py_ssize_t size):
    """Huffman's code (section 5.2); no symbol takes less than five bits."""
    cdef bytes found = PyBytes_FromStringAndSize(NULL, size * 8 // 5 + 1)
    cdef char *to = PyBytes_AS_STRING(found)
    cdef Py_ssize_t count = 0, at
    cdef uint32_t state = 0, place
    cdef uint8_t flags = COMPLETE
    for at in range(size):
        place = state * 16 + (data[at] >> 4)
        flags = flags_of[place]
        if flags & FAILS:
            raise HPACKDecodingError("Invalid Huffman string")
        if flags & EMITS:
            to[count] = <char>symbol_of[place]
            count += 1
        place = <uint32_t>next_state[place] * 16 + (data[at] & 15)
        flags = flags_of[place]
        if flags & FAILS:
            raise HPACKDecodingError("Invalid Huffman string")
        if flags & EMITS:
            to[count] = <char>symbol_of[place]
            count += 1
        state = next_state[place]
    if not flags & COMPLETE:
        raise HPACKDecodingError("Incomplete Huffman string")
    return found[:count]


cdef class Encoder(Table):
    """See `_hpack.pyi`."""

    cdef dict whole      # where in `entries`, and more: how many were dropped from its start
    cdef dict names
    cdef Py_ssize_t dropped
    cdef bint is_resized
    cdef Py_ssize_t least     # that it was since the last block
    cdef uint8_t *to

    def __init__(self):
        self.whole = {}
        self.names = {}

    @property
    def header_table_size(self):
        return self.most

    @header_table_size.setter
    def header_table_size(self, Py_ssize_t size):
        if size == self.most:
            return
        if not self.is_resized or size < self.least:
            self.least = size
        self.is_resized = True
        self.most = size
        self.shrink(size)

    cdef int forgotten(self, tuple field) except -1:
        cdef Py_ssize_t place = self.dropped + self.gone - 1
        if self.whole.get(field) == place:
            del self.whole[field]
        if self.names.get(field[0]) == place:
            del self.names[field[0]]
        return 0

    cdef int compacted(self, Py_ssize_t count) except -1:
        self.dropped += count
        return 0

    def encode(self, fields):
        cdef Py_ssize_t most = 16
        cdef uint8_t *start
        cdef object name, value
        for name, value in fields:
            most += PyBytes_GET_SIZE(<bytes?>name) + PyBytes_GET_SIZE(<bytes?>value) + 24
        start = self.to = <uint8_t *>PyMem_Malloc(most)
        if start == NULL:
            raise MemoryError
        try:
            if self.is_resized:
                self.is_resized = False
                if self.least < self.most:
                    self._integer(RESIZED, 5, self.least)
                self._integer(RESIZED, 5, self.most)
            for name, value in fields:
                self._field(<bytes>name, <bytes>value)
            return PyBytes_FromStringAndSize(<const char *>start, self.to - start)
        finally:
            PyMem_Free(start)

    cdef int _field(self, bytes name, bytes value) except -1:
        cdef tuple field = (name, value)
        cdef object found = WHOLE.get(field)
        cdef Py_ssize_t index
        cdef int form, bits
        if found is None and (found := self.whole.get(field)) is not None:
            found = self._index(found)
        if found is not None:
            self._integer(INDEXED, 7, found)
            return 0
        found = NAMES.get(name)
        if found is None and (found := self.names.get(name)) is not None:
            found = self._index(found)
        index = 0 if found is None else found
        if name in SECRET:
            form, bits = NEVER, 4
        elif name in PASSING or _size(field) * 2 > self.most:
            form, bits = NOT_REMEMBERED, 4
        else:
            form, bits = REMEMBERED, 6
        self._integer(form, bits, index)
        if not index:
            self._string(name)
        self._string(value)
        if form == REMEMBERED:
            self.add(field)
            self.whole[field] = self.names[name] = self.dropped + len(self.entries) - 1
        return 0

    cdef Py_ssize_t _index(self, Py_ssize_t place):
        return STATIC + self.dropped + len(self.entries) - place

    cdef void _integer(self, int form, int bits, Py_ssize_t number) noexcept:
        cdef Py_ssize_t most = (1 << bits) - 1
        if number < most:
            self.to[0] = <uint8_t>(form | number)
            self.to += 1
            return
        self.to[0] = <uint8_t>(form | most)
        self.to += 1
        number -= most
        while number >= 0x80:
            self.to[0] = <uint8_t>(0x80 | (number & 0x7f))
            self.to += 1
            number >>= 7
        self.to[0] = <uint8_t>number
        self.to += 1

    cdef void _string(self, bytes text) noexcept:
        cdef const uint8_t *octet = <const uint8_t *>PyBytes_AS_STRING(text)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
        cdef Py_ssize_t at, bits = 0
        cdef uint64_t held = 0
        cdef int left = 0
        for at in range(size):
            bits += code_bits[octet[at]]
        if (bits + 7) >> 3 >= size:
            self._integer(0, 7, size)
            memcpy(self.to, octet, size)
            self.to += size
            return
        self._integer(0x80, 7, (bits + 7) >> 3)
        for at in range(size):
            held = held << code_bits[octet[at]] | codes[octet[at]]
            left += code_bits[octet[at]]
            while left >= 8:
                left -= 8
                self.to[0] = <uint8_t>(held >> left)
                self.to += 1
        if left:
            self.to[0] = <uint8_t>(held << (8 - left) | (0xff >> left))
            self.to += 1

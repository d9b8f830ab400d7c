# cython: language_level=3, boundscheck=False, wraparound=False
"""The same as `frames`, outside Python, and what is common is told apart from what is the library's.

Belongs here: where frames begin, and which of them are common. Never here: what they mean (`quick`). The types are
in `_frames.pyi`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t

from h2.errors import ErrorCodes

from worker.http2.faults import Broken
from worker.http2.frames import BLOCK_FRAMES, FRAME_BYTES, PREFACE, Frame

cdef enum:
    HEADER_BYTES = 9
    PRIORITY_BYTES = 5
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    SETTINGS = 4
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9
    UNKNOWN = 10
    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    HAS_PRIORITY = 0x20
    # What a part is; see `frames.Part`.
    OTHERS = 0
    REQUEST = 1
    WINDOW = 2
    PIECE = 3
    OF_ALL = -1

cdef Py_ssize_t MOST = FRAME_BYTES
cdef int MOST_IN_BLOCK = BLOCK_FRAMES
#: Stand for frames that bring something, of which it is all the same how many there are.
cdef object A_HEAD = Frame(HEADERS, END_STREAM, 1, 1)
cdef object A_PIECE = Frame(DATA, END_STREAM, 1, 1)


cdef class Frames:
    """See `_frames.pyi`."""

    cdef Py_ssize_t block_bytes, left, bytes_in_block
    cdef bytes begun
    cdef bint is_left_out, has_begun
    cdef uint32_t block
    cdef int frames_in_block

    def __init__(self, Py_ssize_t block_bytes):
        self.block_bytes = block_bytes
        self.begun = b""
        self.left = len(PREFACE)

    @property
    def is_amid(self):
        return bool(self.left or self.begun or self.block)

    @property
    def is_in_head(self):
        return bool(self.block or not self.has_begun)

    def take(self, bytes data not None):
        cdef list parts = [], found = []
        cdef const uint8_t *octet
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = 0, there, length
        cdef uint32_t stream
        cdef uint8_t kind, flags
        cdef bint has_head = False, has_piece = False
        if self.left:
            at = min(self.left, size)
            self.left -= at
            if not self.is_left_out:
                parts.append((OTHERS, 0, data[:at]))
        if self.begun:
            data = self.begun + data
            size = PyBytes_GET_SIZE(data)
        octet = <const uint8_t *>PyBytes_AS_STRING(data)
        while size - at >= HEADER_BYTES:
            length = octet[at] << 16 | octet[at + 1] << 8 | octet[at + 2]
            kind, flags = octet[at + 3], octet[at + 4]
            stream = _number(octet + at + 5)
            if length > MOST:
                why = f"a frame of {length} bytes, more than {MOST}"
                raise Broken(ErrorCodes.FRAME_SIZE_ERROR, why)
            if kind == DATA and not flags & ~END_STREAM and size - at - HEADER_BYTES < length and not self.block:
                break  # it will be whole
            if self.block and (kind != CONTINUATION or stream != self.block):
                raise Broken(ErrorCodes.PROTOCOL_ERROR, "another frame inside a field block")
            if kind == CONTINUATION and not self.block:
                raise Broken(ErrorCodes.PROTOCOL_ERROR, "a continuation of nothing")
            if (kind == HEADERS or kind == DATA or kind == CONTINUATION) and (length or flags & END_STREAM):
                if kind == HEADERS and not has_head:
                    has_head = True
                    found.append(A_HEAD)
                elif not has_piece:
                    has_piece = True
                    found.append(A_PIECE)
            else:
                found.append(Frame(kind, flags, length, stream))
            self.has_begun = True
            self.is_left_out = not self.block and _is_left_out(kind, length, stream)
            if kind == HEADERS or kind == CONTINUATION:
                self._follow(kind, flags, length, stream)
            there = min(length, size - at - HEADER_BYTES)
            self.left = length - there
            there += HEADER_BYTES
            if not self.is_left_out:
                parts.append((
                    _what(octet + at, kind, flags, length, stream) if not self.left else OTHERS,
                    OF_ALL if kind == SETTINGS and not flags & ACK else stream,
                    PyBytes_FromStringAndSize(<const char *>octet + at, there),
                ))
            at += there
        self.begun = data[at:]
        return parts, found

    cdef int _follow(self, uint8_t kind, uint8_t flags, Py_ssize_t length, uint32_t stream) except -1:
        """Through a field block."""
        if kind == HEADERS:
            self.frames_in_block = 0
            self.bytes_in_block = 0
        self.frames_in_block += 1
        self.bytes_in_block += length
        if self.frames_in_block > MOST_IN_BLOCK or self.bytes_in_block > self.block_bytes:
            why = f"a field block of {self.bytes_in_block} bytes in {self.frames_in_block} frames"
            raise Broken(ErrorCodes.ENHANCE_YOUR_CALM, why)
        self.block = 0 if flags & END_HEADERS else stream
        return 0


cdef inline uint32_t _number(const uint8_t *at) noexcept nogil:
    return (<uint32_t>(at[0] & 0x7f) << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3]


cdef inline bint _is_left_out(uint8_t kind, Py_ssize_t length, uint32_t stream) noexcept nogil:
    if kind == PRIORITY:
        return length == PRIORITY_BYTES and stream != 0
    if kind == GOAWAY:
        return stream == 0
    return kind >= UNKNOWN


cdef inline int _what(
    const uint8_t *frame, uint8_t kind, uint8_t flags, Py_ssize_t length, uint32_t stream
) noexcept nogil:
    """A request or a piece of a body without padding, a window update as it should be, or something else."""
    if kind == DATA:
        return PIECE if not flags & ~END_STREAM and (length or flags) else OTHERS
    if kind == WINDOW_UPDATE:
        return WINDOW if length == 4 and not frame[9] & 0x80 and _number(frame + 9) else OTHERS
    if kind != HEADERS or flags & ~(HAS_PRIORITY | END_STREAM) != END_HEADERS or not stream & 1:
        return OTHERS
    if flags & HAS_PRIORITY and (length < PRIORITY_BYTES or _number(frame + 9) == stream):
        return OTHERS
    return REQUEST

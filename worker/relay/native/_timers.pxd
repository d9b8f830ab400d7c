"""A binary heap of flows by the moment they are due: when a limit may have been reached.

Belongs here: the heap. Never here: which limit, or what happens then. A flow that moves bytes is not
moved in the heap: it is looked at when it is due, and put back if it has been busy meanwhile. So a
byte costs nothing here, and an idle period at most one look.

`due` is in nanoseconds of CLOCK_MONOTONIC; `place` is the flow's index in the heap plus one, 0 outside.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, realloc


cdef struct Timer:
    int64_t due
    uint32_t place


cdef struct Heap:
    Timer **timers
    uint32_t count
    uint32_t room


cdef inline Timer *heap_first(Heap *heap) noexcept nogil:
    return heap.timers[0] if heap.count > 0 else NULL


cdef inline bint heap_reserve(Heap *heap, uint32_t count) noexcept nogil:
    """Room for so many timers in all; False if there is no memory."""
    cdef Timer **timers
    cdef uint32_t room = heap.room
    if count <= room:
        return True
    while room < count:
        room = room * 2 if room > 0 else 64
    timers = <Timer **>realloc(heap.timers, room * sizeof(Timer *))
    if timers == NULL:
        return False
    heap.timers = timers
    heap.room = room
    return True


cdef inline void heap_push(Heap *heap, Timer *timer) noexcept nogil:
    """Needs room, reserved before; a timer that is there already is moved to its new due."""
    if timer.place == 0:
        heap.count += 1
        _put(heap, heap.count - 1, timer)
    _sift_up(heap, timer.place - 1)
    _sift_down(heap, timer.place - 1)


cdef inline void heap_remove(Heap *heap, Timer *timer) noexcept nogil:
    """Take it out, if it is there."""
    cdef uint32_t at
    cdef Timer *last
    if timer.place == 0:
        return
    at = timer.place - 1
    timer.place = 0
    heap.count -= 1
    last = heap.timers[heap.count]
    if last != timer:
        _put(heap, at, last)
        _sift_up(heap, at)
        _sift_down(heap, last.place - 1)


cdef inline void heap_free(Heap *heap) noexcept nogil:
    free(heap.timers)
    heap.timers = NULL
    heap.count = heap.room = 0


cdef inline void _put(Heap *heap, uint32_t at, Timer *timer) noexcept nogil:
    heap.timers[at] = timer
    timer.place = at + 1


cdef inline void _sift_up(Heap *heap, uint32_t at) noexcept nogil:
    cdef Timer *timer = heap.timers[at]
    cdef uint32_t parent
    while at > 0:
        parent = (at - 1) // 2
        if heap.timers[parent].due <= timer.due:
            break
        _put(heap, at, heap.timers[parent])
        at = parent
    _put(heap, at, timer)


cdef inline void _sift_down(Heap *heap, uint32_t at) noexcept nogil:
    cdef Timer *timer = heap.timers[at]
    cdef uint32_t child
    while True:
        child = 2 * at + 1
        if child >= heap.count:
            break
        if child + 1 < heap.count and heap.timers[child + 1].due < heap.timers[child].due:
            child += 1
        if timer.due <= heap.timers[child].due:
            break
        _put(heap, at, heap.timers[child])
        at = child
    _put(heap, at, timer)

"""Kernel pipes through which bytes go from socket to socket without being copied (splice(2)).

Belongs here: borrowing a pipe and giving it back. Never here: when a flow is worth one (`_flow`).

The loop serves one flow at a time, so one pipe would do, but for readers that leave something in it: a
pipe stays with a direction until it is empty. At most MOST_LENT are away at once, which bounds descriptors
and kernel memory; then, or where no pipe is to be had, bytes are copied as ever.
"""

cdef extern from "<fcntl.h>" nogil:
    enum: O_CLOEXEC
    enum: O_NONBLOCK
    enum: F_SETPIPE_SZ
    unsigned int SPLICE_F_MOVE
    unsigned int SPLICE_F_NONBLOCK
    ssize_t splice(int source, void *source_at, int sink, void *sink_at, size_t size, unsigned int flags)
    int fcntl(int fd, int command, ...)

cdef extern from "<unistd.h>" nogil:
    int pipe2(int *ends, int flags)
    int close(int fd)

cdef enum:
    MOST_SPARE = 1     # while nobody leaves anything in one, one is enough
    MOST_LENT = 64


# Its two ends; 0 is none, as a worker's descriptor 0 is never a pipe of ours.
cdef struct Pipe:
    int out
    int into


cdef struct Pipes:
    Pipe spare[MOST_SPARE]
    int count          # of those that are spare
    int lent


cdef inline bint pipe_borrow(Pipes *pipes, Pipe *pipe, int size) noexcept nogil:
    """An empty pipe for `size` bytes, or as many as the kernel allows; False if there is none to be had."""
    cdef int ends[2]
    if pipes.lent == MOST_LENT:
        return False
    if pipes.count > 0:
        pipes.count -= 1
        pipe[0] = pipes.spare[pipes.count]
    else:
        if pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0:
            return False
        fcntl(ends[1], F_SETPIPE_SZ, size)
        pipe.out = ends[0]
        pipe.into = ends[1]
    pipes.lent += 1
    return True


cdef inline void pipe_return(Pipes *pipes, Pipe *pipe) noexcept nogil:
    """Give back a pipe that is empty."""
    if pipes.count == MOST_SPARE:
        pipe_discard(pipes, pipe)
        return
    pipes.spare[pipes.count] = pipe[0]
    pipes.count += 1
    pipes.lent -= 1
    pipe.out = pipe.into = 0


cdef inline void pipe_discard(Pipes *pipes, Pipe *pipe) noexcept nogil:
    """Give up a borrowed pipe with whatever is in it; nothing if there is none."""
    if pipe.out != 0:
        _close(pipe)
        pipes.lent -= 1


cdef inline void pipes_close(Pipes *pipes) noexcept nogil:
    """Close those that are spare."""
    while pipes.count > 0:
        pipes.count -= 1
        _close(&pipes.spare[pipes.count])


cdef inline void _close(Pipe *pipe) noexcept nogil:
    close(pipe.out)
    close(pipe.into)
    pipe.out = pipe.into = 0

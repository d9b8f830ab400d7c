"""The relay engine outside Python: one thread per worker, its own epoll, no interpreter lock.

`engine` is the trio side, `_loop` what both sides call, and `_state` what both sides touch. The rest is the
thread: `_thread` waits and takes turns, `_dial` connects, `_flow` moves bytes, `_side` reads and writes one
socket, `_pipes` lends kernel pipes, `_timers` knows who is due, `_kernel` declares what they call. Those are
Cython headers of inline functions, compiled into the one extension `_loop`.

Importing this raises ImportError where the extension was not built.
"""

from worker.relay.native.engine import NativeEngine

__all__ = ["NativeEngine"]

"""The relay engine outside Python: one thread per worker, its own epoll, no interpreter lock.

`engine` and `porter` are the trio side, `_loop` and `_gates` what both sides call, and `_state` what both
sides touch. The rest is the thread: `_thread` waits and takes turns, `_accept` answers the door as `_names`
tells it, `_dial` connects, `_flow` moves bytes, `_side` reads and writes one socket, `_pipes` lends kernel
pipes, `_timers` knows who is due, `_account` counts, `_kernel` declares what they call. Those are Cython
headers of inline functions, compiled into both extensions, `_loop` and `_gates`.

Importing this raises ImportError where the extensions were not built.
"""

from worker.relay.native.engine import NativeEngine

__all__ = ["NativeEngine"]

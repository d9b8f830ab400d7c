"""Taking a connection from the kernel, with the server name that its hello asks for if it came along.

`arrivals` is what the accept loop calls. `_quick` is its form outside Python, where that was built, and
`_hello` the part of it that reads a ClientHello.
"""

from worker.arrival.arrivals import Accept, Arrival, accept

__all__ = ["Accept", "Arrival", "accept"]

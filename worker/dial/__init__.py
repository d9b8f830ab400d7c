"""Connecting to an upstream: names become addresses, and the first address that answers wins.

Belongs here: the resolver and the dialer. Never here: which candidates there are and in which order
(`cluster.pick`), or TLS.
"""

from worker.dial.answers import ResolveLimits
from worker.dial.connect import Address, Candidate, Dialer
from worker.dial.resolve import Resolver, Unresolvable

__all__ = ["Address", "Candidate", "Dialer", "ResolveLimits", "Resolver", "Unresolvable"]

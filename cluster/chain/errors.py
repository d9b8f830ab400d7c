"""Why a chain does not compile. Nothing else belongs here."""

from cluster.errors import LockgateError


class ChainError(LockgateError):
    """The entries do not make a chain together: a circle, two protocols, a subset that is not there."""

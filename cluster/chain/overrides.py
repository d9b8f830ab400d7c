"""What whoever asks for a chain wants otherwise: a protocol, a mesh gateway mode, a connect timeout.

Belongs here: the wishes, and the mark of those that changed anything. Never here: applying them.
"""

import hashlib
from dataclasses import dataclass, fields

HASH_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Empty or zero asks for nothing."""

    protocol: str = ""
    mesh_gateway: str = ""
    connect_timeout_seconds: float = 0.0

    def digest(self, effective: frozenset[str]) -> str:
        """Eight hexadecimal digits of the fields that changed anything; empty if none did."""
        if not effective:
            return ""
        told = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name in effective]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:HASH_DIGITS]

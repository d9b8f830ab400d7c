"""Conformance cases that Lockgate answers differently on purpose, by id, with the reason.

Nothing else belongs here. The tests assert that the answer does differ.
"""

_TENANCY = (
    "the community edition leaves tenancy out of a SPIFFE id; Lockgate carries namespace and "
    "partition in every name, so it renders them"
)

DIFFERENCES = {
    "spiffe-014": _TENANCY,
    "spiffe-016": _TENANCY,
    "spiffe-018": _TENANCY,
}

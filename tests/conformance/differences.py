"""Conformance cases that Lockgate answers differently on purpose, by id, with the reason.

Where only one of the tests of a case differs, the id is followed by ` in ` and the name of that test.
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
    "intention-enforcement-023 in test_tcp_probes": (
        "an intention that asks for a token lets nobody in where a service is carried as tcp, as one with "
        "permissions does; Consul ignores the token there"
    ),
}

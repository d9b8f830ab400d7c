"""Consul's names for TLS versions and cipher suites, in OpenSSL's terms.  ●

Belongs here: the translation. Never here: which names an entry may hold (`coordinator.entries`).

Nothing below TLS 1.2 is spoken, whatever is asked for. Cipher suites are those of TLS 1.2; which ones TLS 1.3
uses is not configurable, as in Consul.
"""

from collections.abc import Sequence
from typing import Final

from OpenSSL import SSL

from worker.tls.contexts import DEFAULT_VERSIONS, TlsVersions, UnusableMaterial

_VERSIONS: Final = {
    "TLSv1_0": 0x0301,
    "TLSv1_1": 0x0302,
    "TLSv1_2": SSL.TLS1_2_VERSION,
    "TLSv1_3": SSL.TLS1_3_VERSION,
}

_SUITES: Final = {
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}


def tls_versions(min_version: str, max_version: str, suites: Sequence[str]) -> TlsVersions:
    """What an entry asks for; empty fields and `TLS_AUTO` are left to us.

    Raises `UnusableMaterial` for a suite that is not known, or a maximum that nothing is left below.
    """
    highest = _VERSIONS.get(max_version, DEFAULT_VERSIONS.highest)
    if highest < SSL.TLS1_2_VERSION:
        raise UnusableMaterial(f"TLSMaxVersion {max_version}: nothing below TLS 1.2 is spoken")
    if unknown := [name for name in suites if name not in _SUITES]:
        raise UnusableMaterial(f"cipher suites that are not known: {', '.join(unknown)[:300]}")
    chosen = ":".join(_SUITES[name] for name in suites).encode()
    return TlsVersions(
        lowest=max(_VERSIONS.get(min_version, 0), SSL.TLS1_2_VERSION),
        highest=highest,
        tls12_suites=chosen or DEFAULT_VERSIONS.tls12_suites,
    )

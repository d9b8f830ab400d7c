"""A service's certificate for a program that speaks TLS by itself: asked for, and written to files.

Belongs here: key, CSR, and three files that are whole or not there. Never here: signing.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from cluster.errors import ConfigError, Problem
from cluster.identity import ServiceId
from cluster.keys import csr_pem, new_key_pem
from coordinator.client import SIGN_TIMEOUT_SECONDS, Api


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedLeaf:
    """A certificate chain with its key, and the roots that it leads to, all PEM."""

    uri: str
    not_after: str
    chain: str
    roots: str
    key: bytes = field(repr=False)


def fetch_leaf(api: Api, service: str) -> FetchedLeaf:
    """Make a key here and have its public half signed. Raises what `coordinator.client` raises."""
    roots = api.get("/v1/connect/ca/roots")
    datacenter = api.get("/v1/agent/self")["Config"]["Datacenter"]
    identity = ServiceId(trust_domain=roots["TrustDomain"], service=service, datacenter=datacenter)
    key = new_key_pem()
    body = {"CSR": csr_pem(key, identity.uri).decode()}
    signed = api.post("/v1/lockgate/connect/sign", body, timeout_seconds=SIGN_TIMEOUT_SECONDS)
    return FetchedLeaf(
        uri=signed["ServiceURI"],
        not_after=signed["ValidBefore"],
        chain=signed["CertPEM"],
        roots="".join(f"{root['RootCert'].strip()}\n" for root in roots["Roots"]),
        key=key,
    )


def write_leaf(directory: Path, service: str, leaf: FetchedLeaf) -> dict[str, str]:
    """The paths of `cert`, `key` and `roots`. The directory is made (0700). Raises ConfigError."""
    if "/" in service or service in (".", ".."):
        raise _problem(f"service {service!r}: its name cannot be a file's name")
    files = {
        "key": (directory / f"{service}.key", leaf.key, 0o600),
        "cert": (directory / f"{service}.crt", leaf.chain.encode(), 0o644),
        "roots": (directory / "roots.pem", leaf.roots.encode(), 0o644),
    }
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content, mode in files.values():
            _replace(path, content, mode)
    except OSError as error:
        raise _problem(f"{error.filename or directory}: {error.strerror or error}") from error
    return {name: str(path) for name, (path, _, _) in files.items()}


def _replace(path: Path, content: bytes, mode: int) -> None:
    """A whole new file in the place of an old one, closed to others from its first byte on."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
            os.fchmod(out.fileno(), mode)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _problem(message: str) -> ConfigError:
    return ConfigError((Problem(message=message),))

"""Fixtures of the scenarios: real servers, started once, and a cluster that reaches them."""

import hashlib
import tempfile
from pathlib import Path

import pytest
import trustme

from tests.harness import servers
from tests.harness.cluster import lockgate
from tests.harness.entries import allow, external
from tests.harness.programs import free_port


@pytest.fixture(scope="session")
def postgres():
    """In a folder of its own: another pytest that starts would lock the server's user out of pytest's."""
    with (
        tempfile.TemporaryDirectory(prefix="lockgate-postgres-") as directory,
        servers.postgres(Path(directory)) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    with servers.redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Web:
    """A real HTTPS server: its port, its CA's file, and a large file with its checksum."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.ca_file = directory / "ca.pem"
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(self.ca_file))
        certificate = ca.issue_cert("files.example.com")
        certificate.private_key_pem.write_to_path(str(directory / "web.key"))
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(str(directory / "web.crt"), append=True)
        self.large = servers.random_file(directory / "large.bin", 100 * 1024 * 1024)
        self.checksum = hashlib.sha256(self.large.read_bytes()).hexdigest()

    @property
    def server_block(self) -> str:
        return (
            f"listen 127.0.0.1:{self.port} ssl; root {self.directory}; "
            f"ssl_certificate {self.directory}/web.crt; "
            f"ssl_certificate_key {self.directory}/web.key;"
        )


@pytest.fixture(scope="session")
def web(tmp_path_factory):
    found = Web(tmp_path_factory.mktemp("web"))
    with servers.nginx(found.directory, found.server_block, found.port):
        yield found


@pytest.fixture(scope="session")
def outside(postgres, redis, web):
    """Files that link all three servers to one terminating gateway; `web` may reach them."""
    return {
        "gateway.hcl": f"""
Kind = "terminating-gateway"
Name = "egress"
Services = [
  {{ Name = "postgres" }},
  {{ Name = "redis" }},
  {{ Name = "files", CAFile = "{web.ca_file}", SNI = "files.example.com" }},
]
""",
        "postgres.hcl": external("postgres", postgres.port),
        "redis.hcl": external("redis", redis.port),
        "files.hcl": external("files", web.port),
        "allow-postgres.hcl": allow("postgres", "web"),
        "allow-redis.hcl": allow("redis", "web"),
        "allow-files.hcl": allow("files", "web"),
    }


@pytest.fixture
def cluster(tmp_path, outside):
    """Two workers, all three servers, everything allowed to `web`."""
    with lockgate(tmp_path, outside) as found:
        yield found


@pytest.fixture
def sidecar(cluster):
    """The sidecar of `web`, with a local port for each server."""
    with cluster.sidecar("web", ["postgres", "redis", "files"]) as found:
        yield found

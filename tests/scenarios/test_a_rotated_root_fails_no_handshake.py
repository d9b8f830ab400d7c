"""The CA's root is rotated under traffic: everybody gets a leaf of the new one, and no handshake fails.

Then the old one is distrusted, as if its key had leaked: who rests on it is out at once, and nobody else.
"""

import socket
import ssl
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cluster.names import service_sni
from tests.harness.cluster import lockgate
from tests.harness.echo import echo
from tests.harness.entries import allow, external
from tests.harness.programs import wait_until
from tests.harness.stream import stream

pytestmark = pytest.mark.slow

_GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [ { Name = "echo" } ]\n'
#: Leaves of the new root are asked for at a random moment of the 30 s after it.
_SPREAD_SECONDS = 40.0


class OldFriend:
    """A caller whose leaf and whose only root are of the time before: nothing tells it of a rotation."""

    def __init__(self, cluster, directory):
        cluster.ok("connect", "leaf", "-service", "web", "-out", str(directory))
        self.context = ssl.create_default_context(cafile=str(directory / "roots.pem"))
        self.context.check_hostname = False  # the mesh's leaves have a URI
        self.context.load_cert_chain(str(directory / "web.crt"), str(directory / "web.key"))
        roots = cluster.json("connect", "ca", "roots")
        self.server_name = service_sni("echo", datacenter="dc1", trust_domain=roots["TrustDomain"])
        self.address = cluster.address("egress")

    @contextmanager
    def served(self):
        """A connection that carries. Raises OSError if the handshake fails."""
        with (
            socket.create_connection(self.address, timeout=10) as plain,
            self.context.wrap_socket(
                plain, server_hostname=self.server_name, suppress_ragged_eofs=False
            ) as secure,
        ):
            secure.sendall(b"ping")
            assert secure.recv(4) == b"ping"
            yield secure

    def served_by(self):
        """The name of the root whose leaf the gateway shows. Raises OSError if a handshake fails."""
        with self.served() as secure:
            issuer = dict(pair for (pair,) in secure.getpeercert()["issuer"])
            return issuer["commonName"]


def _leaves(sidecar):
    """How many certificates the sidecar has had."""
    return sidecar.log.read_text().count("/svc/web")


def test_a_rotated_root_fails_no_handshake(tmp_path):
    with echo() as upstream:
        files = {
            "gateway.hcl": _GATEWAY,
            "echo.hcl": external("echo", upstream.port),
            "allow.hcl": allow("echo", "web"),
        }
        with lockgate(tmp_path, files) as cluster, cluster.sidecar("web", ["echo"]) as sidecar:
            friend = OldFriend(cluster, tmp_path / "old")
            before, had = friend.served_by(), _leaves(sidecar)
            with stream(sidecar.ports["echo"]) as traffic:
                assert "active root" in cluster.ok("connect", "ca", "rotate")
                wait_until(
                    "the gateway shows a leaf of the new root",
                    lambda: friend.served_by() != before,
                    seconds=_SPREAD_SECONDS,
                )
                wait_until(
                    "the sidecar has a leaf of the new root",
                    lambda: _leaves(sidecar) > had,
                    seconds=_SPREAD_SECONDS,
                )
                at_the_end = len(traffic.attempts) + 100
                wait_until("some more traffic", lambda: len(traffic.attempts) > at_the_end)
            assert [one.error for one in traffic.attempts if one.error] == []
            active, old = cluster.json("connect", "ca", "roots")["Roots"]
            assert (active["Active"], old["Active"]) == (True, False)
            assert friend.served_by() == _name_of(active)
            _distrust(cluster, friend, sidecar, old["ID"])


def _distrust(cluster, thief, sidecar, root):
    with thief.served() as held, stream(sidecar.ports["echo"]) as traffic:
        assert root in cluster.ok("connect", "ca", "distrust", root)
        with pytest.raises(OSError, match=r"(?i)reset|eof"):  # not in order
            held.recv(1)
        with pytest.raises(OSError, match=r"(?i)alert|reset|eof"):
            thief.served_by()
        at_the_end = len(traffic.attempts) + 100
        wait_until("some more traffic", lambda: len(traffic.attempts) > at_the_end)
    assert [one.error for one in traffic.attempts if one.error] == []
    wait_until(
        "the metric says so",
        lambda: cluster.metric("lockgate_connections_revoked_total", cause="certificate") == 1,
    )
    assert len(cluster.json("connect", "ca", "roots")["Roots"]) == 1


def _name_of(root):
    """The common name in a root."""
    certificate = x509.load_pem_x509_certificate(root["RootCert"].encode())
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return name.value

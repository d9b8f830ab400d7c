"""Certificate authorities for tests, and connected TCP sockets."""

import datetime
import ipaddress
import socket
from dataclasses import dataclass

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from worker.net.leg import WouldBlockRead

DAY = datetime.timedelta(days=1)
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True)
class Issued:
    chain_pem: bytes
    key_pem: bytes
    not_after: float

    def files(self, folder, name):
        """Paths of the chain and the key, for programs that read files."""
        chain, key = folder / f"{name}.crt", folder / f"{name}.key"
        chain.write_bytes(self.chain_pem)
        key.write_bytes(self.key_pem)
        return str(chain), str(key)


class Authority:
    """A CA: a root of its own, or an intermediate of `parent`."""

    def __init__(self, name="test root", parent=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = parent or self
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        #: What an issued chain ends with: the intermediates up to the root, which is left out.
        self.above = (self.pem + parent.above) if parent else b""

    def issue(
        self, *, uris=(), dns=(), ips=(), emails=(), usages=BOTH, common_name="", expired=False
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        not_after = now - DAY if expired else now + 3 * DAY
        sans = [
            *(x509.UniformResourceIdentifier(uri) for uri in uris),
            *(x509.DNSName(name) for name in dns),
            *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips),
            *(x509.RFC822Name(email) for email in emails),
        ]
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(attributes))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * DAY)
            .not_valid_after(not_after)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=True)
        certificate = builder.sign(self.key, hashes.SHA256())
        return Issued(
            certificate.public_bytes(serialization.Encoding.PEM) + self.above,
            as_pem(key),
            float(int(not_after.timestamp())),
        )

    def as_issued(self):
        """Its own certificate and key, as if they were a leaf's."""
        return Issued(self.pem, as_pem(self.key), 0.0)


def as_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="session")
def new_authority():
    return Authority


@pytest.fixture(scope="session")
def mesh():
    """The mesh's CA."""
    return Authority("mesh root")


@pytest.fixture
def tcp_pair():
    """A function that makes connected TCP sockets over loopback, closed at the end."""
    made = []

    def pair():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.extend((client, server))
        return client, server

    yield pair
    for sock in made:
        sock.close()


@pytest.fixture(scope="session")
def receive():
    """A function that waits for the next bytes of a leg: at most 64 KiB, empty at the end."""
    return next_bytes


async def next_bytes(leg):
    buffer = bytearray(65536)
    while True:
        try:
            return bytes(buffer[: leg.recv_into(memoryview(buffer))])
        except WouldBlockRead:
            await trio.lowlevel.wait_readable(leg.sock)

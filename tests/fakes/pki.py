"""A CA of the mesh for tests with real handshakes: roots, leaves good and bad, and files of them."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.certs import Leaf, Root, TrustBundle
from cluster.identity import ServiceId

TRUST_DOMAIN = "11111111-2222-3333-4444-555555555555.consul"
DAY = datetime.timedelta(days=1)
_BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class Pki:
    """One root, and what it signs."""

    def __init__(self, name="mesh root"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basics = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(self.name, self.name, self.key.public_key(), 30 * DAY)
        self.certificate = builder.add_extension(basics, critical=True).sign(
            self.key, hashes.SHA256()
        )
        self.pem = self.certificate.public_bytes(Encoding.PEM)

    @property
    def bundle(self):
        return bundle(self)

    def leaf(self, *uris, dns=(), ips=(), life=3 * DAY, self_signed=False):
        """A leaf for these names; a negative `life` has ended already."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer, signer = (x509.Name([]), key) if self_signed else (self.name, self.key)
        builder = _builder(x509.Name([]), issuer, key.public_key(), life)
        builder = builder.add_extension(x509.ExtendedKeyUsage(_BOTH), critical=False)
        names = [
            *(x509.UniformResourceIdentifier(uri) for uri in uris),
            *(x509.DNSName(name) for name in dns),
            *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips),
        ]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        certificate = builder.sign(signer, hashes.SHA256())
        return Leaf(
            uri=uris[0] if uris else "",
            chain_pem=certificate.public_bytes(Encoding.PEM),
            key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            not_before=certificate.not_valid_before_utc.timestamp(),
            not_after=certificate.not_valid_after_utc.timestamp(),
        )

    def sign(self, csr_pem, life=3 * DAY):
        """The certificate that a request asks for."""
        request = x509.load_pem_x509_csr(csr_pem)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = _builder(x509.Name([]), self.name, request.public_key(), life)
        builder = builder.add_extension(names.value, critical=True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def service(self, name, **options):
        """The leaf of a service of the mesh."""
        return self.leaf(service_uri(name), **options)


def bundle(active, *others):
    """What trusts these roots."""
    roots = (
        Root(id=f"r{at}", pem=pki.pem, active=pki is active)
        for at, pki in enumerate((active, *others), start=1)
    )
    return TrustBundle(trust_domain=TRUST_DOMAIN, roots=tuple(roots))


def service_uri(name, trust_domain=TRUST_DOMAIN):
    return ServiceId(trust_domain=trust_domain, service=name, datacenter="dc1").uri


def write(folder, name, leaf):
    """The paths of a leaf's certificate and key, written to files."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(leaf.chain_pem)
    key.write_bytes(leaf.key_pem)
    return certificate, key


def client_context(folder, leaf, roots):
    """For a client of the mesh, by the standard library: shows `leaf` (or nothing), trusts `roots`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the mesh names a server by its URI
    context.load_verify_locations(cadata=roots.decode())
    if leaf is not None:
        context.load_cert_chain(*write(folder, f"client-{id(leaf)}", leaf))
    return context


def server_context(folder, leaf, roots=None):
    """For a server, which demands a certificate of `roots` where those are given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write(folder, f"server-{id(leaf)}", leaf))
    if roots is not None:
        context.load_verify_locations(cadata=roots.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _builder(subject, issuer, public_key, life):
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + life) - DAY)
        .not_valid_after(now + life)
    )

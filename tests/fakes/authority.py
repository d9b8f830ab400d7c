"""A CA of the tests: signs requests as the coordinator would."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from cluster.certs import Root


class Authority:
    """A root. Times are unix seconds, handed in."""

    def __init__(self, name="root", *, now=1_000_000_000.0):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self.issue(self.name, self.key.public_key(), now, now + 1e8, ca=True)

    def issue(self, subject, public_key, not_before, not_after, *, ca=False, uri="", dns_names=()):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_date(not_before))
            .not_valid_after(_date(not_after))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if uri:
            named = [x509.UniformResourceIdentifier(uri), *map(x509.DNSName, dns_names)]
            names = x509.SubjectAlternativeName(named)
            builder = builder.add_extension(names, critical=True)
        return builder.sign(self.key, SHA256())

    def sign(self, csr_pem, *, now, life=3600.0):
        request = x509.load_pem_x509_csr(csr_pem)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        leaf = self.issue(
            x509.Name([]),
            request.public_key(),
            now - 60,
            now - 60 + life,
            uri=uri,
            dns_names=names.get_values_for_type(x509.DNSName),
        )
        return leaf.public_bytes(Encoding.PEM)

    def cross_sign(self, other):
        """Our word for another root's key."""
        now = other.certificate.not_valid_before_utc.timestamp()
        signed = self.issue(other.name, other.key.public_key(), now, now + 1e6, ca=True)
        return signed.public_bytes(Encoding.PEM)

    def root(self, *, active=True, id_="r"):
        return Root(id=id_, pem=self.certificate.public_bytes(Encoding.PEM), active=active)


def _date(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

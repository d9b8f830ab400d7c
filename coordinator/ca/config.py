"""The configuration of the built-in CA provider: read weakly as Consul does, every problem at once. Pure.

Belongs here: the keys, their defaults and the rules between them. Never here: what is done with them.
Source: Consul's documentation of the built-in CA ("Configuration" of the provider).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from cryptography import x509

from cluster.durations import format_duration, parse_duration, within_limit
from cluster.errors import ConfigError, Problem

from .keys import kind_problem, load_key, public_der

_HOUR = 3600 * 10**9


class CaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A checked configuration. Durations in nanoseconds, as Go counts them."""

    leaf_cert_ttl_ns: int = 72 * _HOUR
    intermediate_cert_ttl_ns: int = 8760 * _HOUR
    root_cert_ttl_ns: int = 87600 * _HOUR
    private_key_type: str = "ec"
    private_key_bits: int = 256
    private_key: str = ""
    root_cert: str = ""
    csr_max_per_second: float = 50.0
    csr_max_concurrent: int = 0

    @property
    def leaf_ttl_seconds(self) -> float:
        return self.leaf_cert_ttl_ns / 1e9

    @property
    def root_ttl_seconds(self) -> float:
        return self.root_cert_ttl_ns / 1e9

    def __repr__(self) -> str:
        """Without the private key."""
        return f"CaConfig({self.private_key_type}/{self.private_key_bits})"


def parse_config(raw: Mapping[str, Any]) -> CaConfig:
    """The configuration that a document stands for; what is absent or null has its default.

    Keys may be written as Consul spells them or in snake_case. Raises ConfigError with every problem.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, content in raw.items():
        _read(key, content, values, problems)
    if not problems:
        config = CaConfig(**values)
        problems.extend(check_config(config))
        if not problems:
            return config
    raise ConfigError(problems)


def shown_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it is kept and shown: Consul's spelling, its three defaults, no key and no root."""
    given = {_spelled(key): content for key, content in raw.items() if content is not None}
    return _SHOWN | {key: content for key, content in given.items() if key not in _APART}


def check_config(config: CaConfig) -> tuple[Problem, ...]:
    """What the rules between and on the values find wrong."""
    found = (*_ttl_problems(config), *_key_problems(config), *_limit_problems(config))
    return tuple(Problem(path=path, message=message) for path, message in found)


def _ttl_problems(config: CaConfig) -> list[tuple[str, str]]:
    leaf, intermediate = config.leaf_cert_ttl_ns, config.intermediate_cert_ttl_ns
    rules = (
        ("LeafCertTTL", leaf >= _HOUR, leaf, "must be at least 1h"),
        ("LeafCertTTL", leaf <= 8760 * _HOUR, leaf, "must be at most 8760h"),
        ("IntermediateCertTTL", intermediate >= 3 * _HOUR, intermediate, "must be at least 3h"),
        (
            "IntermediateCertTTL",
            intermediate >= 3 * leaf,
            intermediate,
            f"must be at least three times LeafCertTTL ({format_duration(leaf)})",
        ),
        (
            "RootCertTTL",
            config.root_cert_ttl_ns >= intermediate,
            config.root_cert_ttl_ns,
            f"must be at least IntermediateCertTTL ({format_duration(intermediate)})",
        ),
    )
    return [(key, f"{format_duration(ttl)} {why}") for key, kept, ttl, why in rules if not kept]


def _key_problems(config: CaConfig) -> list[tuple[str, str]]:
    found = []
    if problem := kind_problem(config.private_key_type, config.private_key_bits):
        found.append(("PrivateKeyBits", problem))
    if config.root_cert and not config.private_key:
        found.append(("RootCert", "needs PrivateKey, the key it was made with"))
    if config.private_key:
        found.extend(_given_problems(config))
    return found


def _given_problems(config: CaConfig) -> list[tuple[str, str]]:
    """What is wrong with a key and a root that were given."""
    try:
        key = load_key(config.private_key)
    except ValueError as error:
        return [("PrivateKey", str(error))]
    if not config.root_cert:
        return []
    try:
        root = x509.load_pem_x509_certificate(config.root_cert.encode())
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return [("RootCert", "is no CA certificate: it has no basic constraints")]
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension):
        return [("RootCert", "is no certificate in PEM")]
    if not constraints.ca:
        return [("RootCert", "is no CA certificate")]
    if public_der(root.public_key()) != public_der(key.public_key()):
        return [("RootCert", "was not made with PrivateKey")]
    return []


def _limit_problems(config: CaConfig) -> list[tuple[str, str]]:
    limits = (
        ("CSRMaxPerSecond", config.csr_max_per_second),
        ("CSRMaxConcurrent", config.csr_max_concurrent),
    )
    return [(key, f"{limit} is less than 0") for key, limit in limits if limit < 0]


def _read(key: str, content: Any, values: dict[str, Any], problems: list[Problem]) -> None:
    """Read one key into `values`, or say why not."""
    spelled = _spelled(key)
    if content is None or spelled in _IGNORED:
        return
    if spelled not in _KEYS:
        problems.append(Problem(path=key, message="is no setting of the built-in CA"))
        return
    field, reader = _KEYS[spelled]
    if field in values:
        problems.append(Problem(path=key, message="is given twice"))
        return
    try:
        values[field] = reader(content)
    except (ValueError, TypeError, OverflowError) as error:
        problems.append(Problem(path=key, message=str(error)))


def _spelled(key: str) -> str:
    """A key as Consul spells it; as it is if Consul does not know it."""
    return _BY_FOLDED.get(key.replace("_", "").lower(), key)


def _duration(content: Any) -> int:
    if isinstance(content, str):
        return parse_duration(content)
    return within_limit(_whole(content))


def _whole(content: Any) -> int:
    if isinstance(content, int) and not isinstance(content, bool):
        return content
    number = _number(content)
    if number != int(number):
        raise ValueError(f"{number} is no whole number")
    return int(number)


def _number(content: Any) -> float:
    if isinstance(content, bool) or not isinstance(content, int | float | str):
        raise TypeError(f"expected a number, found {type(content).__name__}")
    try:
        number = float(content)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a number, found {str(content)[:40]!r}")
    return number


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise TypeError(f"expected a string, found {type(content).__name__}")
    return content


#: The field that each key is read into, and how.
_KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "LeafCertTTL": ("leaf_cert_ttl_ns", _duration),
    "IntermediateCertTTL": ("intermediate_cert_ttl_ns", _duration),
    "RootCertTTL": ("root_cert_ttl_ns", _duration),
    "PrivateKeyType": ("private_key_type", _text),
    "PrivateKeyBits": ("private_key_bits", _whole),
    "PrivateKey": ("private_key", _text),
    "RootCert": ("root_cert", _text),
    "CSRMaxPerSecond": ("csr_max_per_second", _number),
    "CSRMaxConcurrent": ("csr_max_concurrent", _whole),
}
#: Consul once had it; Terraform modules still send it.
_IGNORED = frozenset({"RotationPeriod"})
_BY_FOLDED = {name.lower(): name for name in (*_KEYS, *_IGNORED)}
#: Kept with the roots, never in a document that is shown.
_APART = frozenset({"PrivateKey", "RootCert"})
_SHOWN = {"LeafCertTTL": "72h", "IntermediateCertTTL": "8760h", "RootCertTTL": "87600h"}

"""Key sets: which key may have signed a token, and by which algorithms.

Belongs here: reading a JSON Web Key Set, and checking a signature by it. Never here: what a token says.

The key says which algorithms it may be used with, the token only picks one of them: a public key is never
taken for the secret of an HMAC, and `none` is no algorithm. Of a private key only the public half is kept. A
key that is too short (RSA below 2,048 bits, an HMAC's below its digest) verifies nothing.
Source: RFC 7515, RFC 7517, RFC 7518, RFC 8725.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jwt

from cluster.errors import LockgateError

_RSA = tuple(f"{family}{bits}" for family in ("RS", "PS") for bits in (256, 384, 512))
_HMAC = ("HS256", "HS384", "HS512")
_BY_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
#: What a key is made of, by type; whatever else a JWK holds is not handed on.
_PARTS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}

MAX_KEYS = 100

_JWS = jwt.PyJWS(options={"enforce_minimum_key_length": True})


class BadToken(LockgateError):
    """A token does not count, and why; never with any of its text."""


class KeySet:
    """The keys of one provider. Those that are of no use here are left out."""

    __slots__ = ("_keys",)

    def __init__(self, text: str) -> None:
        """A text that is no key set holds no keys."""
        self._keys = tuple(_keys(text))

    def __len__(self) -> int:
        return len(self._keys)

    def signed(self, token: str) -> dict[str, Any]:
        """The payload of a token that one of these keys signed. Raises `BadToken`."""
        header = _header(token)
        for key in self._candidates(header):
            try:
                payload = _JWS.decode_complete(token, key=key, algorithms=[key.algorithm_name])
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
            return _object(payload["payload"])
        raise BadToken("no key of the provider verifies its signature")

    def _candidates(self, header: Mapping[str, Any]) -> Iterator[jwt.PyJWK]:
        """A key with an id is not asked about a token that names another."""
        wanted, algorithm = header.get("kid"), header.get("alg")
        for key_id, by_algorithm in self._keys:
            if wanted is None or key_id in (None, wanted):
                key = by_algorithm.get(algorithm) if isinstance(algorithm, str) else None
                if key is not None:
                    yield key


def _header(token: str) -> dict[str, Any]:
    try:
        header: dict[str, Any] = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as error:
        raise BadToken("it is no JSON Web Token") from error
    if "crit" in header or header.get("b64", True) is not True:
        raise BadToken("its header asks for extensions that are not known here")
    return header


def _object(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadToken("its payload is no JSON") from error
    if not isinstance(claims, dict):
        raise BadToken("its payload is no JSON object")
    return claims


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _keys(text: str) -> Iterator[tuple[str | None, dict[str, jwt.PyJWK]]]:
    try:
        spelled = json.loads(text)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    for key in spelled[:MAX_KEYS] if isinstance(spelled, list) else ():
        if isinstance(key, dict) and _is_for_verifying(key):
            by_algorithm = dict(_by_algorithm(key))
            if by_algorithm:
                yield key.get("kid"), by_algorithm


def _is_for_verifying(key: Mapping[str, Any]) -> bool:
    return key.get("use", "sig") == "sig" and "verify" in (key.get("key_ops") or ("verify",))


def _by_algorithm(key: Mapping[str, Any]) -> Iterator[tuple[str, jwt.PyJWK]]:
    kind = key.get("kty")
    allowed = _algorithms(key)
    if key.get("alg") is not None:
        allowed = [name for name in allowed if name == key["alg"]]
    parts = {name: key[name] for name in _PARTS.get(str(kind), ()) if name in key}
    for algorithm in allowed:
        try:
            yield algorithm, jwt.PyJWK({"kty": kind, **parts}, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            return


def _algorithms(key: Mapping[str, Any]) -> Iterable[str]:
    match key.get("kty"):
        case "RSA":
            return _RSA
        case "oct":
            return _HMAC
        case "EC" | "OKP":
            curve = _BY_CURVE.get(str(key.get("crv")), "")
            return (curve,) if (curve == "EdDSA") == (key["kty"] == "OKP") and curve else ()
        case _:
            return ()

"""Tokens: those that count, and every way that is known to make one count that should not."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cluster.http import Request
from cluster.http.jwks import BadToken, KeySet
from cluster.http.providers import JwtProvider, Location, Place, provider_of
from cluster.http.verify import MAX_TOKEN_CHARACTERS, TokenVerifier

NOW = 1_000_000.0
RSA, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
SHORT = rsa.generate_private_key(65537, 1024)
EC, EC384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
SECRET = b"s" * 64
CLAIMS = {"iss": "okta", "aud": "api", "exp": NOW + 60, "nbf": NOW - 60, "sub": "u"}


def jwk(key, **fields):
    kinds = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    if isinstance(key, bytes):
        return json.loads(jwt.algorithms.HMACAlgorithm.to_jwk(key)) | fields
    kind = next(made for made in kinds if isinstance(key, made))
    return json.loads(kinds[kind].to_jwk(key.public_key())) | fields


def jwks(*keys):
    return json.dumps({"keys": keys})


def encoded(part):
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def token(key=RSA, algorithm="RS256", claims=None, **header):
    return jwt.encode(CLAIMS if claims is None else claims, key, algorithm, headers=header)


def crafted(header, payload=CLAIMS, signature=b""):
    """A token that no library would make."""
    parts = (
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)
    )
    return ".".join((*(encoded(part) for part in parts), encoded(signature)))


def provider(*keys, **fields):
    defaults = {"name": "okta", "issuer": "okta", "audiences": ("api",), "clock_skew_seconds": 30}
    return JwtProvider(jwks=jwks(*(keys or (jwk(RSA),))), **(defaults | fields))


def verified(text, given=None, now=NOW):
    request = Request(headers=(("authorization", f"Bearer {text}"), ("x-a", "1")))
    return TokenVerifier([given or provider()]).verify({"okta"}, request, now)


@pytest.mark.parametrize(
    ("key", "algorithm", "fields"),
    [
        (RSA, "RS256", {}),
        (RSA, "RS512", {}),
        (RSA, "PS256", {"alg": "PS256", "use": "sig", "key_ops": ["verify"]}),
        (EC, "ES256", {}),
        (EC384, "ES384", {"alg": "ES384"}),
        (ED, "EdDSA", {}),
        (SECRET, "HS256", {}),
    ],
)
def test_a_good_token_by_each_kind_of_key(key, algorithm, fields):
    found = verified(token(key, algorithm), provider(jwk(OTHER), jwk(key, **fields)))
    assert found.claims == {"okta": CLAIMS}
    assert found.faults == {}


PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def confused(secret):
    """A token signed by HMAC with a public key as its secret."""
    signed = crafted({"alg": "HS256", "typ": "JWT"}).rsplit(".", 1)[0]
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def altered(text, part, change):
    parts = text.split(".")
    parts[part] = change(parts[part])
    return ".".join(parts)


GOOD = token()
ATTACKS = {
    "none": crafted({"alg": "none"}),
    "None": crafted({"alg": "None"}),
    "nOnE with a signature": crafted({"alg": "nOnE"}, signature=b"x"),
    "no algorithm": crafted({"typ": "JWT"}),
    "an algorithm that is no text": crafted({"alg": ["RS256"]}),
    "a public key as a secret, PEM": confused(PEM),
    "a public key as a secret, JWK": confused(json.dumps(jwk(RSA)).encode()),
    "a public key as a secret, modulus": confused(base64.urlsafe_b64decode(jwk(RSA)["n"] + "==")),
    "an empty secret": confused(b""),
    "another key": token(OTHER),
    "a key in its own header": token(OTHER, jwk=jwk(OTHER)),
    "a key to fetch": token(OTHER, jku="https://evil/keys", x5u="https://evil/x"),
    "another key by name": token(OTHER, kid="../../dev/null"),
    "another kind of key": token(EC, "ES256"),
    "no signature": GOOD.rsplit(".", 1)[0] + ".",
    "a cut signature": GOOD[:-8],
    "two parts": GOOD.rsplit(".", 1)[0],
    "four parts": f"{GOOD}.x",
    "five parts": f"{GOOD}.x.y",
    "other claims": altered(
        GOOD, 1, lambda _: encoded(b'{"iss":"okta","aud":"api","sub":"admin"}')
    ),
    "another header": altered(GOOD, 0, lambda _: encoded(b'{"alg":"RS512"}')),
    "critical extensions": token(crit=["b64"], b64=False),
    "a detached payload": altered(GOOD, 1, lambda _: ""),
    "not base64": altered(GOOD, 1, lambda part: f"{part}!"),
    "no token": "x",
    "nothing": "",
    "bytes that are no text": "\xff\xfe.\xff.\xff",
    "a header that is no object": crafted([1]),
    "deep JSON": crafted(b"[" * 9000),
    "too long": token(claims=CLAIMS | {"x": "y" * MAX_TOKEN_CHARACTERS}),
    "expired": token(claims=CLAIMS | {"exp": NOW - 30}),
    "not yet valid": token(claims=CLAIMS | {"nbf": NOW + 31}),
    "another issuer": token(claims=CLAIMS | {"iss": "okta.evil"}),
    "no issuer": token(claims={k: v for k, v in CLAIMS.items() if k != "iss"}),
    "another audience": token(claims=CLAIMS | {"aud": "api.evil"}),
    "no audience": token(claims={k: v for k, v in CLAIMS.items() if k != "aud"}),
    "two tokens": f"{GOOD},Bearer {GOOD}",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack(name):
    found = verified(ATTACKS[name])
    assert found.claims == {}
    assert found.faults["okta"]
    assert found.headers((("authorization", "x"),)) == (("authorization", "x"),)


def signed(payload, key=RSA):
    """Well signed, whatever it is."""
    return jwt.PyJWS().encode(payload, key, "RS256")


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"\xff",
        b'{"iss":"okta","aud":"api","exp":NaN}',
        b'{"iss":"okta","aud":"api","exp":"9999999999"}',
        b'{"iss":"okta","aud":"api","exp":null}',
        b'{"iss":"okta","aud":"api","exp":true}',
        b'{"iss":"okta","aud":"api","nbf":"0"}',
        b'{"iss":"okta","aud":"api","exp":-1' + b"0" * 400 + b"}",
        b'{"iss":"okta","aud":"api","exp":1' + b"0" * 5000 + b"}",
        b'{"iss":["okta"],"aud":"api"}',
        b'{"iss":"okta","aud":{"api":1}}',
        b'{"iss":"okta","aud":[["api"]]}',
        b"[" * 9000,
    ],
)
def test_what_a_signed_token_may_not_say(payload):
    assert verified(signed(payload)).claims == {}


@pytest.mark.parametrize(
    ("claims", "now", "counts"),
    [
        ({"exp": NOW}, NOW + 29.9, True),
        ({"exp": NOW}, NOW + 30, False),
        ({"nbf": NOW}, NOW - 30, True),
        ({"nbf": NOW}, NOW - 30.1, False),
        ({}, NOW, True),
        ({"aud": ["x", "api"]}, NOW, True),
        ({"aud": []}, NOW, False),
    ],
)
def test_times_and_audiences(claims, now, counts):
    text = token(claims={"iss": "okta", "aud": "api"} | claims)
    assert ("okta" in verified(text, now=now).claims) is counts


def test_a_token_that_is_remembered_expires_all_the_same():
    verifier = TokenVerifier([provider()])
    request = Request(headers=(("authorization", f"Bearer {GOOD}"),))
    assert verifier.verify({"okta"}, request, NOW).claims
    assert verifier.verify({"okta"}, request, NOW).claims
    assert not verifier.verify({"okta"}, request, NOW + 3600).claims


@pytest.mark.parametrize(
    ("key", "algorithm", "fields"),
    [
        (RSA, "RS256", {"alg": "RS512"}),
        (RSA, "RS256", {"alg": "HS256"}),
        (RSA, "RS256", {"alg": "none"}),
        (RSA, "RS256", {"use": "enc"}),
        (RSA, "RS256", {"key_ops": ["sign"]}),
        (RSA, "RS256", {"kid": "other"}),
        (RSA, "RS256", {"kty": "oct"}),
        (RSA, "RS256", {"n": "AQAB"}),
        (SHORT, "RS256", {}),
        (EC, "ES256", {"crv": "P-384"}),
        (EC, "ES256", {"crv": "secp256k1"}),
        (SECRET[:16], "HS256", {}),
        (b"", "HS256", {}),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_a_key_that_may_not_be_used_so(key, algorithm, fields):
    text = token(key or b"x" * 32, algorithm, kid="mine")
    assert verified(text, provider(jwk(key, **fields))).claims == {}


def test_a_secret_does_not_stand_in_for_a_public_key():
    """Both kinds in one set: each token is asked of the keys of its own kind."""
    both = provider(jwk(RSA), jwk(SECRET))
    assert verified(GOOD, both).claims
    assert verified(token(SECRET, "HS256"), both).claims
    assert not verified(confused(PEM), both).claims


def test_only_the_public_half_of_a_private_key_is_kept():
    private = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA)) | {"key_ops": ["verify"]}
    assert "d" in private
    assert verified(GOOD, provider(private)).claims


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"keys": 1}', '{"keys": [1, {}, {"kty": "RSA"}]}', "[" * 9000]
)
def test_no_key_set_verifies_nothing(text):
    keys = KeySet(text)
    assert len(keys) == 0
    with pytest.raises(BadToken, match="no key"):
        keys.signed(GOOD)


LOCATIONS = (
    Location(place=Place.HEADER, name="x-token", prefix="t="),
    Location(place=Place.QUERY, name="jwt"),
    Location(place=Place.COOKIE, name="jwt"),
)


@pytest.mark.parametrize(
    ("request_", "counts"),
    [
        (Request(headers=(("x-token", f"t={GOOD}"),)), True),
        (Request(headers=(("x-token", GOOD),)), False),
        (Request(headers=(("x-token", f"x t={GOOD}"),)), False),
        (Request(query=f"a=b&jwt={GOOD}"), True),
        (Request(headers=(("cookie", f"a=b; jwt={GOOD}"),)), True),
        (Request(headers=(("cookie", "a=b"), ("cookie", f'jwt="{GOOD}"'))), True),
        (Request(headers=(("authorization", f"Bearer {GOOD}"),)), False),
        (Request(headers=(("x-token", "t=x"),), query=f"jwt={GOOD}"), True),
    ],
)
def test_places(request_, counts):
    verifier = TokenVerifier([provider(locations=LOCATIONS)])
    assert bool(verifier.verify({"okta"}, request_, NOW).claims) is counts


def test_what_goes_on():
    kept = ("x-a", "1")
    came = (("authorization", f"Bearer {GOOD}"), ("x-payload", "forged"), kept)
    found = verified(GOOD, provider(payload_header="x-payload", pad_payload=True))
    (told,) = [one for one in found.headers(came) if one != kept]
    assert told[0] == "x-payload"
    assert json.loads(base64.urlsafe_b64decode(told[1])) == CLAIMS
    forwarded = verified(GOOD, provider(forward=True))
    assert forwarded.headers(came) == came


def test_nobody_forges_what_a_token_says():
    told = provider(payload_header="x-payload")
    came = (("x-payload", "forged"), ("x-a", "1"))
    assert verified("x", told).headers(came) == (("x-a", "1"),)
    unasked = TokenVerifier([told]).verify((), Request(headers=came), NOW)
    assert unasked.headers(came) == (("x-a", "1"),)


def test_a_provider_that_nobody_knows():
    assert verified(GOOD, provider(name="auth0")).claims == {}


def test_keys_in_a_file():
    given = JwtProvider(name="okta", jwks_file="/etc/keys.json")
    request = Request(headers=(("authorization", f"Bearer {GOOD}"),))
    read = TokenVerifier([given], {"/etc/keys.json": jwks(jwk(RSA))})
    assert read.verify({"okta"}, request, NOW).claims
    assert not TokenVerifier([given]).verify({"okta"}, request, NOW).claims


def test_an_entry():
    entry = {
        "Name": "okta",
        "Issuer": "https://okta",
        "Audiences": ["api"],
        "JSONWebKeySet": {"Local": {"JWKS": base64.b64encode(b'{"keys": []}').decode()}},
        "Locations": [
            {"Header": {"Name": "X-Token", "ValuePrefix": "t=", "Forward": True}},
            {"QueryParam": {"Name": "jwt"}},
            {"Cookie": {"Name": "jwt"}},
        ],
        "Forwarding": {"HeaderName": "X-Payload", "PadForwardPayloadHeader": True},
        "ClockSkewSeconds": 5,
        "CacheConfig": {"Size": 7},
    }
    assert provider_of(entry) == JwtProvider(
        name="okta",
        issuer="https://okta",
        audiences=("api",),
        jwks='{"keys": []}',
        locations=LOCATIONS,
        forward=True,
        payload_header="x-payload",
        pad_payload=True,
        clock_skew_seconds=5,
        cache_size=7,
    )
    remote = {"Name": "far", "JSONWebKeySet": {"Remote": {"URI": "https://okta/keys"}}}
    assert provider_of(remote) == JwtProvider(name="far")

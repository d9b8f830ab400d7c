"""The kind `mesh`: settings of the whole mesh; there is one entry.

Belongs here: its fields and rules (consul-gateways.md 6.7, 5.5). Never here: the meaning of a setting.

Consul's payload has no Name, and shows none. Ours is stored with one, as every entry is, and may be written
with it.
"""

from collections.abc import Iterator

from .kind import Body, Kind, entry_shape, meta_rules, one_of, unenforced_fields
from .report import Finding
from .scalars import Flag, Text
from .schema import Field, Object
from .tls_parameters import TLS_PARAMETERS, tls_rules

MESH_NAME = "mesh"
ESCAPED_SLASHES = (
    "IMPLEMENTATION_SPECIFIC_DEFAULT",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
)
UNDERSCORES = ("ALLOW", "REJECT_REQUEST", "DROP_HEADER")
_NORMALIZATION = "HTTP.Incoming.RequestNormalization"

NORMALIZATION = Object(
    Field(name="InsecureDisablePathNormalization", shape=Flag()),
    Field(name="MergeSlashes", shape=Flag()),
    Field(name="PathWithEscapedSlashesAction", shape=Text()),
    Field(name="HeadersWithUnderscoresAction", shape=Text()),
)

SHAPE = entry_shape(
    Field(name="TransparentProxy", shape=Object(Field(name="MeshDestinationsOnly", shape=Flag()))),
    Field(name="AllowEnablingPermissiveMutualTLS", shape=Flag()),
    Field(name="ValidateClusters", shape=Flag()),
    Field(
        name="TLS",
        shape=Object(
            Field(name="Incoming", shape=Object(*TLS_PARAMETERS)),
            Field(name="Outgoing", shape=Object(*TLS_PARAMETERS)),
        ),
    ),
    Field(
        name="HTTP",
        shape=Object(
            Field(name="SanitizeXForwardedClientCert", shape=Flag()),
            Field(
                name="Incoming",
                shape=Object(Field(name="RequestNormalization", shape=NORMALIZATION)),
            ),
        ),
    ),
    Field(name="Peering", shape=Object(Field(name="PeerThroughMeshGateways", shape=Flag()))),
)

_ALWAYS_NORMAL = {"InsecureDisablePathNormalization": "paths as they came, they are normalised"}
_UNENFORCED = {
    "TransparentProxy": "transparent proxies",
    "AllowEnablingPermissiveMutualTLS": "permissive mutual TLS",
    "TLS": "TLS versions and cipher suites of the mesh",
    "Peering": "cluster peering",
}


def _rules(body: Body) -> Iterator[Finding]:
    if body["Name"] != MESH_NAME:
        yield Finding(
            "Name", f"a mesh entry has no name but {MESH_NAME!r}, which goes without saying"
        )
    for direction in ("Incoming", "Outgoing"):
        yield from tls_rules(body.get("TLS", {}).get(direction, {}), f"TLS.{direction}")
    http = body.get("HTTP", {}).get("Incoming", {}).get("RequestNormalization", {})
    yield from one_of(http, "PathWithEscapedSlashesAction", ESCAPED_SLASHES, _NORMALIZATION)
    yield from one_of(http, "HeadersWithUnderscoresAction", UNDERSCORES, _NORMALIZATION)
    yield from meta_rules(body.get("Meta", {}))


def _doubts(body: Body) -> Iterator[Finding]:
    yield from unenforced_fields(body, _UNENFORCED)
    said = body.get("HTTP", {}).get("Incoming", {}).get("RequestNormalization", {})
    yield from unenforced_fields(said, _ALWAYS_NORMAL, _NORMALIZATION)
    if body.get("ValidateClusters"):
        yield Finding("ValidateClusters", "has no effect: there is no Envoy in Lockgate")


def _normalise(body: Body) -> Body:
    return body | {"Name": body.get("Name") or MESH_NAME}


MESH = Kind(name="mesh", shape=SHAPE, normalise=_normalise, rules=_rules, doubts=_doubts)

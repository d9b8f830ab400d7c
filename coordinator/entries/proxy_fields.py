"""Fields that service-defaults, proxy-defaults and a registration's `Proxy` have in common.

Belongs here: their shapes and the rules that hold wherever they stand. Never here: which of them an
entry has, or which value wins (compose).
"""

from collections.abc import Iterator
from typing import Any

from .kind import Body, one_of, unenforced, unenforced_fields
from .report import Finding
from .scalars import Flag, Text, Whole
from .schema import Field, ListOf, Object, OpaqueTable

PORT = Whole(0, 65535)
PROTOCOLS = ("tcp", "http", "http2", "grpc")

# The names Consul has built in; they configure Envoy, so that here they are known and do nothing.
EXTENSIONS = (
    "builtin/aws/lambda",
    "builtin/ext-authz",
    "builtin/http/localratelimit",
    "builtin/lua",
    "builtin/otel-access-logging",
    "builtin/property-override",
    "builtin/wasm",
)

MESH_GATEWAY = Field(name="MeshGateway", shape=Object(Field(name="Mode", shape=Text())))

COMMON = (
    Field(name="Mode", shape=Text()),
    Field(
        name="TransparentProxy",
        shape=Object(
            Field(name="OutboundListenerPort", shape=PORT),
            Field(name="DialedDirectly", shape=Flag()),
        ),
    ),
    Field(name="MutualTLSMode", shape=Text()),
    MESH_GATEWAY,
    Field(
        name="Expose",
        shape=Object(
            Field(name="Checks", shape=Flag()),
            Field(
                name="Paths",
                shape=ListOf(
                    Object(
                        Field(name="Path", shape=Text()),
                        Field(name="ListenerPort", shape=PORT),
                        Field(name="LocalPathPort", shape=PORT),
                        Field(name="Protocol", shape=Text()),
                    )
                ),
            ),
        ),
    ),
    Field(
        name="EnvoyExtensions",
        shape=ListOf(
            Object(
                Field(name="Name", shape=Text()),
                Field(name="Required", shape=Flag()),
                Field(name="Arguments", shape=OpaqueTable()),
                Field(name="ConsulVersion", shape=Text()),
                Field(name="EnvoyVersion", shape=Text()),
            )
        ),
    ),
)

_UNENFORCED = {
    "TransparentProxy": "transparent proxies",
    "MeshGateway": "mesh gateways between datacenters",
    "Expose": "exposed paths",
}


def lower(body: Body, name: str) -> Body:
    """The body with the string `name` in lower case."""
    return body | {name: body[name].lower()} if name in body else body


def mesh_gateway_rules(body: Body, path: str = "") -> Iterator[Finding]:
    """The mode of a mesh gateway is one of three (2.2)."""
    place = f"{path}.MeshGateway" if path else "MeshGateway"
    yield from one_of(body.get("MeshGateway", {}), "Mode", ("none", "local", "remote"), place)


def proxy_rules(body: Body, path: str = "") -> Iterator[Finding]:
    """What is wrong with the common fields."""
    yield from one_of(body, "Mode", ("direct", "transparent"), path)
    yield from one_of(body, "MutualTLSMode", ("strict", "permissive"), path)
    yield from mesh_gateway_rules(body, path)
    for index, extension in enumerate(body.get("EnvoyExtensions", [])):
        yield from _extension_rules(extension, f"EnvoyExtensions[{index}]")


def proxy_doubts(body: Body) -> Iterator[Finding]:
    """What is not enforced yet, and settings of Envoy, which is not here."""
    if body.get("Mode") == "transparent":
        yield unenforced("transparent proxies", "Mode")
    if body.get("MutualTLSMode") == "permissive":
        yield unenforced("permissive mutual TLS", "MutualTLSMode")
    yield from unenforced_fields(body, _UNENFORCED)
    for index, _ in enumerate(body.get("EnvoyExtensions", [])):
        message = "has no effect: Envoy extensions are not run by Lockgate"
        yield Finding(f"EnvoyExtensions[{index}]", message)


def _extension_rules(extension: dict[str, Any], path: str) -> Iterator[Finding]:
    name = extension.get("Name", "")
    if not name:
        yield Finding(f"{path}.Name", "invalid EnvoyExtensions: Name is required")
    elif name not in EXTENSIONS:
        yield Finding(f"{path}.Name", f"{name[:64]!r} is not a built-in extension")

"""The kind `proxy-defaults`: settings of every proxy and gateway; there is one entry, named `global`.

Belongs here: its fields and rules (consul-gateways.md 6.3). Never here: the meaning of `Config`, which
is kept as written.
"""

import json
from collections.abc import Iterator

from .kind import (
    Body,
    Kind,
    entry_shape,
    meta_rules,
    one_of,
    unenforced,
    unenforced_fields,
)
from .proxy_fields import COMMON, proxy_doubts, proxy_rules
from .report import Finding
from .scalars import EnterpriseOnly, Flag, Text
from .schema import Field, ListOf, Object, OpaqueTable

GLOBAL = "global"
_SOCKET_DIR_LIMIT = 70  # what a socket's file name leaves of the 108 bytes of a unix path

SHAPE = entry_shape(
    Field(name="Config", shape=OpaqueTable()),
    *COMMON,
    Field(
        name="AccessLogs",
        shape=Object(
            Field(name="Enabled", shape=Flag()),
            Field(name="DisableListenerLogs", shape=Flag()),
            Field(name="Type", shape=Text()),
            Field(name="Path", shape=Text()),
            Field(name="JSONFormat", shape=Text()),
            Field(name="TextFormat", shape=Text()),
        ),
    ),
    Field(
        name="FailoverPolicy",
        shape=Object(Field(name="Mode", shape=Text()), Field(name="Regions", shape=ListOf(Text()))),
    ),
    Field(name="PrioritizeByLocality", shape=EnterpriseOnly()),
)


def _normalise(body: Body) -> Body:
    return body | {"Name": body.get("Name") or GLOBAL}


def _rules(body: Body) -> Iterator[Finding]:
    if body["Name"] != GLOBAL:
        yield Finding("Name", f"invalid name {body['Name'][:64]!r}, only {GLOBAL!r} is supported")
    yield from proxy_rules(body)
    yield from _config_rules(body.get("Config", {}))
    yield from _access_log_rules(body.get("AccessLogs", {}))
    modes = ("sequential", "order-by-locality")
    policy = body.get("FailoverPolicy", {})
    if policy.get("Mode", "") not in ("", *modes):
        message = f"the failover-policy mode must be one of {', '.join(modes)}"
        yield Finding("FailoverPolicy.Mode", message)
    yield from meta_rules(body.get("Meta", {}))


def _config_rules(config: Body) -> Iterator[Finding]:
    name = "envoy_hcp_metrics_bind_socket_dir"
    value = config.get(name)
    if isinstance(value, str) and len(value) > _SOCKET_DIR_LIMIT:
        message = f"{name} length {len(value)} exceeds max {_SOCKET_DIR_LIMIT}"
        yield Finding(f"Config.{name}", message)


def _access_log_rules(logs: Body) -> Iterator[Finding]:
    yield from one_of(logs, "Type", ("stdout", "stderr", "file"), "AccessLogs")
    if logs.get("Path") and logs.get("Type") != "file":
        yield Finding("AccessLogs.Path", "Path is only valid with the file type of access logs")
    if logs.get("Type") == "file" and not logs.get("Path"):
        yield Finding("AccessLogs.Path", "Path is required when using the file type of access logs")
    if logs.get("JSONFormat") and logs.get("TextFormat"):
        message = "cannot specify both access log JSONFormat and TextFormat"
        yield Finding("AccessLogs.TextFormat", message)
    if logs.get("JSONFormat") and not _is_json(logs["JSONFormat"]):
        yield Finding("AccessLogs.JSONFormat", "invalid access log JSON format")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _doubts(body: Body) -> Iterator[Finding]:
    for name in body.get("Config", {}):
        if name != "protocol":
            yield unenforced("this setting of proxies", f"Config.{name}")
    yield from proxy_doubts(body)
    yield from unenforced_fields(body, {"AccessLogs": "access logs", "FailoverPolicy": "failover"})


PROXY_DEFAULTS = Kind(
    name="proxy-defaults", shape=SHAPE, normalise=_normalise, rules=_rules, doubts=_doubts
)

"""Names of services, and the SNI strings that every gateway routes by, both ways.

Belongs here: spelling. Never here: whether a name exists, or where it leads.
Nothing is escaped in an SNI, so a name with a dot in it cannot be read back; `parse_sni` says None.

Source: Consul, "Mesh gateways" and its SNI formats.
"""

import msgspec

DEFAULT = "default"
WILDCARD = "*"


class ServiceName(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """A service, or, with `*` as name or namespace, a pattern of services.

    `peer` is empty for services of our own cluster.
    """

    name: str
    namespace: str = DEFAULT
    partition: str = DEFAULT
    peer: str = ""

    def __str__(self) -> str:
        """As people write it: `web`, `ns/web`, `part/ns/web`, `peer:east/ns/web`."""
        if self.peer:
            return f"peer:{self.peer}/{self.namespace}/{self.name}"
        if self.partition != DEFAULT:
            return f"{self.partition}/{self.namespace}/{self.name}"
        return self.name if self.namespace == DEFAULT else f"{self.namespace}/{self.name}"


class ServiceSni(msgspec.Struct, frozen=True, kw_only=True):
    """What a service SNI says."""

    service: str
    datacenter: str
    trust_domain: str
    subset: str = ""
    namespace: str = DEFAULT
    partition: str = DEFAULT


class GatewaySni(msgspec.Struct, frozen=True, kw_only=True):
    """What the SNI of a remote datacenter's (or partition's) gateways says."""

    datacenter: str
    trust_domain: str
    partition: str = DEFAULT


class PeeredSni(msgspec.Struct, frozen=True, kw_only=True):
    """What the SNI of a service exported to a peer says; `trust_domain` is the exporter's."""

    service: str
    peer: str
    trust_domain: str
    namespace: str = DEFAULT
    partition: str = DEFAULT


class QuerySni(msgspec.Struct, frozen=True, kw_only=True):
    """What the SNI of a prepared query says."""

    query: str
    datacenter: str
    trust_domain: str


class PeeringServerSni(msgspec.Struct, frozen=True, kw_only=True):
    """What the SNI of a cluster's servers behind their gateways says."""

    datacenter: str
    trust_domain: str


class WanServerSni(msgspec.Struct, frozen=True, kw_only=True):
    """What the SNI of WAN-federated servers says; an empty `node` is any of them."""

    datacenter: str
    domain: str
    node: str = ""


Sni = ServiceSni | GatewaySni | PeeredSni | QuerySni | PeeringServerSni | WanServerSni


def parse_service_name(text: str) -> ServiceName:
    """`name`, `namespace/name` or `partition/namespace/name`. Raises ValueError for anything else."""
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"{text!r} is not a service name: expected name or namespace/name")
    namespace = parts[-2] if len(parts) > 1 else DEFAULT
    partition = parts[0] if len(parts) > 2 else DEFAULT
    return ServiceName(name=parts[-1], namespace=namespace, partition=partition)


def written_service(text: str) -> ServiceName:
    """The name that `str` of a ServiceName wrote, a peer's too. Raises ValueError."""
    if not text.startswith("peer:"):
        return parse_service_name(text)
    peer, _, rest = text.removeprefix("peer:").partition("/")
    return msgspec.structs.replace(parse_service_name(rest), peer=peer)


def service_sni(
    service: str,
    *,
    datacenter: str,
    trust_domain: str,
    subset: str = "",
    namespace: str = "",
    partition: str = "",
) -> str:
    """The SNI of a service, or of one subset of it."""
    head = f"{subset}.{service}" if subset else service
    head = f"{head}.{namespace or DEFAULT}"
    if partition in ("", DEFAULT):
        return f"{head}.{datacenter}.internal.{trust_domain}"
    return f"{head}.{partition}.{datacenter}.internal-v1.{trust_domain}"


def gateway_sni(datacenter: str, *, trust_domain: str, partition: str = "") -> str:
    """The SNI suffix of a remote datacenter; gateways match it as `*.` plus this."""
    if partition in ("", DEFAULT):
        return f"{datacenter}.internal.{trust_domain}"
    return f"{partition}.{datacenter}.internal-v1.{trust_domain}"


def peered_sni(
    service: str, *, peer: str, trust_domain: str, namespace: str = "", partition: str = ""
) -> str:
    """The SNI of an exported service; `peer` is the exporter's name for the consumer."""
    tenancy = f"{namespace or DEFAULT}.{partition or DEFAULT}"
    return f"{service}.{tenancy}.{peer}.external.{trust_domain}"


def query_sni(query: str, *, datacenter: str, trust_domain: str) -> str:
    """The SNI of a prepared query; its namespace is the literal `default`."""
    return f"{query}.default.{datacenter}.query.{trust_domain}"


def peering_server_sni(datacenter: str, *, trust_domain: str) -> str:
    """The SNI of the control plane's servers, for peering through gateways."""
    return f"server.{datacenter}.peering.{trust_domain}"


def wan_server_sni(*, datacenter: str, domain: str, node: str = "") -> str:
    """The SNI of one WAN-federated server, or of any when `node` is empty or `*`."""
    domain = domain.removesuffix(".")
    server = f"server.{datacenter}.{domain}"
    return server if node in ("", WILDCARD) else f"{node}.{server}"


def split_wan_node_name(name: str) -> tuple[str, str]:
    """Node and datacenter of a server's name among federated ones, `<node>.<datacenter>`.

    The node may be empty, as Consul has it. Raises ValueError unless there is exactly one dot.
    """
    node, dot, datacenter = name.partition(".")
    if not dot or "." in datacenter:
        raise ValueError(f"{name[:64]!r} is not <node>.<datacenter>")
    return node, datacenter


def parse_sni(sni: str, *, trust_domain: str, domain: str = "consul") -> Sni | None:
    """What an SNI of `trust_domain` (or of the WAN's DNS `domain`) says, or None if it says nothing to us.

    Names compare without case (RFC 6066 section 3), so the result is lower-case.
    """
    sni = sni.lower()
    head = sni.removesuffix(f".{trust_domain.lower()}")
    if head != sni:
        return _parse_labels(head.split("."), trust_domain)
    head = sni.removesuffix(f".{domain.lower().removesuffix('.')}")
    labels = head.split(".")
    if head == sni or "" in labels:
        return None
    if len(labels) == 2 and labels[0] == "server":
        return WanServerSni(datacenter=labels[1], domain=domain)
    if len(labels) == 3 and labels[1] == "server":
        return WanServerSni(node=labels[0], datacenter=labels[2], domain=domain)
    return None


def _parse_labels(labels: list[str], trust_domain: str) -> Sni | None:
    if "" in labels:
        return None
    match labels:
        case [subset, service, namespace, datacenter, "internal"]:
            return ServiceSni(
                service=service,
                subset=subset,
                namespace=namespace,
                datacenter=datacenter,
                trust_domain=trust_domain,
            )
        case [service, namespace, datacenter, "internal"]:
            return ServiceSni(
                service=service,
                namespace=namespace,
                datacenter=datacenter,
                trust_domain=trust_domain,
            )
        case [datacenter, "internal"]:
            return GatewaySni(datacenter=datacenter, trust_domain=trust_domain)
        case [*front, partition, datacenter, "internal-v1"]:
            return _parse_partitioned(front, partition, datacenter, trust_domain)
        case [service, namespace, partition, peer, "external"]:
            return PeeredSni(
                service=service,
                namespace=namespace,
                partition=partition,
                peer=peer,
                trust_domain=trust_domain,
            )
        case [query, "default", datacenter, "query"]:
            return QuerySni(query=query, datacenter=datacenter, trust_domain=trust_domain)
        case ["server", datacenter, "peering"]:
            return PeeringServerSni(datacenter=datacenter, trust_domain=trust_domain)
    return None


def _parse_partitioned(
    front: list[str], partition: str, datacenter: str, trust_domain: str
) -> Sni | None:
    match front:
        case []:
            return GatewaySni(datacenter=datacenter, partition=partition, trust_domain=trust_domain)
        case [service, namespace] | [_, service, namespace]:
            return ServiceSni(
                service=service,
                subset=front[0] if len(front) == 3 else "",
                namespace=namespace,
                partition=partition,
                datacenter=datacenter,
                trust_domain=trust_domain,
            )
    return None

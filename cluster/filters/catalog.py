"""The shapes of what the catalog and health endpoints list. Pure.

Belongs here: the fields of nodes, instances and checks that Consul's filters know. Never here: their values.
`HEALTH` is what `/v1/health/service` lists, and what a service-resolver's subset filter is applied to.
"""

from .shapes import ANYTHING, FLAG, TEXT, TEXT_MAP, TEXTS, WHOLE, ListOf, MapOf, Record, Shape

_INDEXES: dict[str, Shape] = {"CreateIndex": WHOLE, "ModifyIndex": WHOLE}
_TENANCY: dict[str, Shape] = {"Namespace": TEXT, "Partition": TEXT, "PeerName": TEXT}

_MESH_GATEWAY = Record({"Mode": TEXT})
_ADDRESSES = MapOf(Record({"Address": TEXT, "Port": WHOLE}))
_WEIGHTS = Record({"Passing": WHOLE, "Warning": WHOLE})
_CONNECT = Record({"Native": FLAG, "SidecarService": ANYTHING, "PeerMeta": ANYTHING})
_UPSTREAM = Record(
    {
        "DestinationType": TEXT,
        "DestinationNamespace": TEXT,
        "DestinationPartition": TEXT,
        "DestinationPeer": TEXT,
        "DestinationName": TEXT,
        "Datacenter": TEXT,
        "LocalBindAddress": TEXT,
        "LocalBindPort": WHOLE,
        "LocalBindSocketPath": TEXT,
        "LocalBindSocketMode": TEXT,
        "MeshGateway": _MESH_GATEWAY,
        "Config": ANYTHING,
    }
)
_PROXY = Record(
    {
        "DestinationServiceName": TEXT,
        "DestinationServiceID": TEXT,
        "LocalServiceAddress": TEXT,
        "LocalServicePort": WHOLE,
        "LocalServiceSocketPath": TEXT,
        "Mode": TEXT,
        "Config": ANYTHING,
        "Upstreams": ListOf(_UPSTREAM),
        "MeshGateway": _MESH_GATEWAY,
        "Expose": ANYTHING,
        "TransparentProxy": ANYTHING,
        "AccessLogs": ANYTHING,
        "EnvoyExtensions": ANYTHING,
    }
)

#: `/v1/catalog/nodes`, and `Node` of a health entry.
NODE = Record(
    {
        "ID": TEXT,
        "Node": TEXT,
        "Address": TEXT,
        "Datacenter": TEXT,
        "TaggedAddresses": TEXT_MAP,
        "Meta": TEXT_MAP,
        **_TENANCY,
        **_INDEXES,
    }
)
#: `/v1/agent/services`, `/v1/catalog/node`, and `Service` of a health entry.
SERVICE = Record(
    {
        "Kind": TEXT,
        "ID": TEXT,
        "Service": TEXT,
        "Tags": TEXTS,
        "Meta": TEXT_MAP,
        "Port": WHOLE,
        "Address": TEXT,
        "SocketPath": TEXT,
        "TaggedAddresses": _ADDRESSES,
        "Weights": _WEIGHTS,
        "EnableTagOverride": FLAG,
        "Datacenter": TEXT,
        "Proxy": _PROXY,
        "Connect": _CONNECT,
        "Locality": ANYTHING,
        **_TENANCY,
        **_INDEXES,
    }
)
#: `/v1/health/checks`, `/state`, `/node`, `/v1/agent/checks`, and `Checks` of a health entry.
CHECK = Record(
    {
        "Node": TEXT,
        "CheckID": TEXT,
        "Name": TEXT,
        "Status": TEXT,
        "Notes": TEXT,
        "Output": TEXT,
        "ServiceID": TEXT,
        "ServiceName": TEXT,
        "ServiceTags": TEXTS,
        "Type": TEXT,
        "Interval": TEXT,
        "Timeout": TEXT,
        "ExposedPort": WHOLE,
        "Definition": ANYTHING,
        **_TENANCY,
        **_INDEXES,
    }
)
#: `/v1/health/service`, `/connect` and `/ingress`.
HEALTH = Record({"Node": NODE, "Service": SERVICE, "Checks": ListOf(CHECK)})
#: `/v1/catalog/service` and `/connect`: an instance with its node, flat.
CATALOG_SERVICE = Record(
    {
        "ID": TEXT,
        "Node": TEXT,
        "Address": TEXT,
        "Datacenter": TEXT,
        "TaggedAddresses": TEXT_MAP,
        "NodeMeta": TEXT_MAP,
        "ServiceKind": TEXT,
        "ServiceID": TEXT,
        "ServiceName": TEXT,
        "ServiceTags": TEXTS,
        "ServiceAddress": TEXT,
        "ServiceTaggedAddresses": _ADDRESSES,
        "ServiceWeights": _WEIGHTS,
        "ServiceMeta": TEXT_MAP,
        "ServicePort": WHOLE,
        "ServiceSocketPath": TEXT,
        "ServiceEnableTagOverride": FLAG,
        "ServiceProxy": _PROXY,
        "ServiceConnect": _CONNECT,
        **_TENANCY,
        **_INDEXES,
    }
)
#: `/v1/catalog/gateway-services`.
GATEWAY_SERVICE = Record(
    {
        "Gateway": Record({"Name": TEXT}),
        "Service": Record({"Name": TEXT}),
        "GatewayKind": TEXT,
        "Port": WHOLE,
        "Protocol": TEXT,
        "Hosts": TEXTS,
        "CAFile": TEXT,
        "CertFile": TEXT,
        "KeyFile": TEXT,
        "SNI": TEXT,
        "FromWildcard": FLAG,
        "ServiceKind": TEXT,
        "AutoHostRewrite": FLAG,
        **_INDEXES,
    }
)

"""A chain as Consul's `/v1/discovery-chain` shows it.

Belongs here: Consul's spelling, and which empty fields it leaves out. Never here: a decision.
"""

from typing import Any

from cluster.durations import format_duration

from .values import Chain, Node, Resolver, Router, Splitter, Subset, Target, key


def rendered(chain: Chain) -> dict[str, Any]:
    """The value of `Chain` in Consul's answer. We give no virtual addresses, so their lists are empty."""
    shown = {
        "ServiceName": chain.service.name,
        "Namespace": chain.service.namespace,
        "Partition": chain.service.partition,
        "Datacenter": chain.datacenter,
        "CustomizationHash": chain.customization_hash,
        "Default": chain.is_default,
        "Protocol": chain.protocol,
        "ServiceMeta": chain.service_meta,
        "EnvoyExtensions": list(chain.extensions),
        "StartNode": chain.start_node,
        "Nodes": {key(node): _node(node) for node in chain.nodes.values()},
        "Targets": {name: _target(target) for name, target in chain.targets.items()},
    }
    return _told(shown) | {"AutoVirtualIPs": [], "ManualVirtualIPs": []}


def _node(node: Node) -> dict[str, Any]:
    match node:
        case Router():
            routes = [
                _told({"Definition": r.definition, "NextNode": r.next_node}) for r in node.routes
            ]
            return {"Type": "router", "Name": node.name, "Routes": routes}
        case Splitter():
            splits = [
                {
                    "Definition": split.definition,
                    "Weight": split.weight,
                    "NextNode": split.next_node,
                }
                for split in node.splits
            ]
            shown = {"Splits": splits, "LoadBalancer": node.load_balancer}
            return {"Type": "splitter", "Name": node.name} | _told(shown)
        case Resolver():
            shown = {"Resolver": _resolver(node), "LoadBalancer": node.load_balancer}
            return {"Type": "resolver", "Name": node.name} | _told(shown)


def _resolver(node: Resolver) -> dict[str, Any]:
    failover = {"Targets": list(node.failover), "Policy": node.failover_policy}
    timeout = node.request_timeout_seconds
    return _told(
        {
            "Default": node.is_default,
            "ConnectTimeout": duration(node.connect_timeout_seconds),
            "RequestTimeout": duration(timeout) if timeout else "",
            "Target": node.target,
            "Failover": _told(failover) if node.failover else {},
        }
    )


def _target(target: Target) -> dict[str, Any]:
    shown = {
        "ID": target.id,
        "Service": target.service.name,
        "ServiceSubset": target.subset,
        "Namespace": target.service.namespace,
        "Partition": target.service.partition,
        "Datacenter": target.datacenter,
        "Peer": target.service.peer,
        "ConnectTimeout": duration(target.connect_timeout_seconds),
        "External": target.external,
        "SNI": target.sni,
        "Name": target.name,
    }
    always = {
        "MeshGateway": _told({"Mode": target.mesh_gateway}),
        "Subset": _subset(target.instances),
        "TransparentProxy": _told({"DialedDirectly": target.dialed_directly}),
    }
    return _told(shown) | always


def _subset(subset: Subset) -> dict[str, Any]:
    return _told({"Filter": subset.filter, "OnlyPassing": subset.only_passing})


def duration(seconds: float) -> str:
    """As Go prints it."""
    return format_duration(round(seconds * 1e9))


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty, as Go's `omitempty` has it."""
    return {name: value for name, value in fields.items() if value}

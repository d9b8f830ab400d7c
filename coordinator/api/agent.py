"""What the agent says of itself and of its members: `/v1/agent/self`, `members`, `metrics`.

Belongs here: the coordinator as an agent. Never here: the services (`agent_services`) and checks
(`agent_checks`) of its own node.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from coordinator.acl.rights import Right, agent_read, node_read
from coordinator.store.tables import NODES

from .endpoint import Call, Read, at
from .needs import each

#: Until somebody registers the node with another.
OWN_ADDRESS = "127.0.0.1"
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# How Consul's serf calls a member that is there, and one that is not.
_ALIVE, _FAILED = 1, 4
_PROTOCOLS = {
    "ProtocolMin": 1,
    "ProtocolMax": 5,
    "ProtocolCur": 2,
    "DelegateMin": 2,
    "DelegateMax": 5,
    "DelegateCur": 4,
}


def _self(call: Call) -> dict[str, Any]:
    services, node = call.services, call.services.node_name
    record = call.state.get(NODES, node)
    return {
        "Config": {
            "Datacenter": services.datacenter,
            "PrimaryDatacenter": services.datacenter,
            "NodeName": node,
            "NodeID": record.value.get("ID", "") if record else "",
            "Server": True,
            "DefaultIntentionPolicy": "allow" if services.default_allow else "deny",
            "Version": services.version,
        },
        "Member": _own_member(call),
        "Meta": record.value.get("Meta", {}) if record else {},
        "Lockgate": {"Version": services.version, "TrustDomain": services.authority.trust_domain},
    }


def _members(call: Call) -> list[dict[str, Any]]:
    """The coordinator and the gateway hosts. Of the WAN's members only we ourselves are known."""
    own = _own_member(call)
    if call.flag("wan"):
        return [own | {"Name": f"{own['Name']}.{call.services.datacenter}"}]
    nodes: list[Mapping[str, Any]] = call.services.fleet.status()["nodes"]
    hosts = [_member(call, node["name"], node["state"] != "gone", "node") for node in nodes]
    return [own, *(one for one in hosts if one["Name"] != own["Name"])]


def _own_member(call: Call) -> dict[str, Any]:
    return _member(call, call.services.node_name, True, "consul")


def _member(call: Call, name: str, alive: bool, role: str) -> dict[str, Any]:
    record = call.state.get(NODES, name)
    own = OWN_ADDRESS if name == call.services.node_name else ""
    tags = {"dc": call.services.datacenter, "role": role, "build": call.services.version}
    return {
        "Name": name,
        "Addr": record.value["Address"] if record else own,
        "Port": 0,
        "Tags": tags,
        "Status": _ALIVE if alive else _FAILED,
        **_PROTOCOLS,
    }


def _metrics(call: Call) -> Any:
    """What is on the coordinator's page for Prometheus, or the same in Consul's JSON."""
    if call.query("format") == "prometheus":
        return Response(call.services.metrics.page(), media_type=_METRICS_TYPE)
    now = datetime.fromtimestamp(call.services.clock(), UTC)
    moment = f"{now:%Y-%m-%d %H:%M:%S} +0000 UTC"
    return {"Timestamp": moment} | call.services.metrics.document()


def _own_agent(call: Call) -> Right:
    return agent_read(call.services.node_name)


ROUTES = (
    at("/v1/agent/self", GET=Read(answer=_self, needs=_own_agent, tables=(NODES,))),
    at(
        "/v1/agent/members",
        GET=Read(answer=_members, needs=each(lambda row: node_read(row["Name"]))),
    ),
    at("/v1/agent/metrics", GET=Read(answer=_metrics, needs=_own_agent)),
)

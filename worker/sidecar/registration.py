"""Telling the catalog where the mesh reaches a service.

Belongs here: the sidecar's own registration. Never here: the program's, which is its operator's.
"""

from worker.sidecar.api import Api
from worker.sidecar.config import SidecarConfig

#: Listened on, but no place to call: the catalog then takes the node's address.
_EVERY_ADDRESS = ("0.0.0.0", "::")


def proxy_id(config: SidecarConfig) -> str:
    """Consul's habit: `web-sidecar-proxy`."""
    return f"{config.service}-sidecar-proxy"


async def register(api: Api, config: SidecarConfig) -> None:
    """Register as a connect-proxy of the service. Raises `ApiError`."""
    assert config.listen is not None
    assert config.service_address is not None
    body = {
        "Name": proxy_id(config),
        "Kind": "connect-proxy",
        "Address": "" if config.listen.host in _EVERY_ADDRESS else config.listen.host,
        "Port": config.listen.port,
        "Proxy": {
            "DestinationServiceName": config.service,
            "LocalServiceAddress": config.service_address.host,
            "LocalServicePort": config.service_address.port,
        },
    }
    await api.request("PUT", "/v1/agent/service/register", json=body)


async def deregister(api: Api, config: SidecarConfig) -> None:
    """Take it back. Raises `ApiError`."""
    await api.request("PUT", f"/v1/agent/service/deregister/{proxy_id(config)}")

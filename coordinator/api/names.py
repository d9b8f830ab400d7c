"""Names in query strings: `web`, or with the tenancy that the community edition has only one of.

Belongs here: reading them. Never here: whether such a service exists.
"""

from cluster.names import DEFAULT, ServiceName, parse_service_name

from .answers import ApiError
from .endpoint import Call


def service_parameter(call: Call, name: str) -> ServiceName:
    """The service in a required parameter. Raises ApiError (400)."""
    return service_name(call.required(name), name)


def service_name(text: str, what: str) -> ServiceName:
    """A service of this cluster, or `*`. Raises ApiError (400) that names `what`."""
    try:
        name = parse_service_name(text)
    except ValueError as error:
        raise ApiError(400, f"Invalid '{what}': {error}") from None
    if (name.namespace, name.partition) != (DEFAULT, DEFAULT):
        text = (
            f"Invalid '{what}': {name}: namespaces and partitions are a Consul Enterprise feature"
        )
        raise ApiError(400, text)
    if "*" in name.name and name.name != "*":
        raise ApiError(400, f"Invalid '{what}': the wildcard * stands alone, found {name.name!r}")
    return name

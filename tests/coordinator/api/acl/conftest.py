"""The API with access control lists on, and clients that bear a token."""

import dataclasses
from types import SimpleNamespace

import httpx
import pytest

from coordinator.api.app import make_app
from tests.fakes.api import NOW, make_access, make_services


@pytest.fixture
def clock():
    """The time: `clock.now` may be moved."""
    return SimpleNamespace(now=NOW)


@pytest.fixture
async def services(clock, tmp_path):
    plain = await make_services()
    access = make_access(
        plain.wanted, clock=lambda: clock.now, reset_file=tmp_path / "acl-bootstrap-reset"
    )
    return dataclasses.replace(plain, access=access, clock=lambda: clock.now)


class Client:
    """One that bears a token, or none."""

    def __init__(self, http, token=""):
        self.http = http
        self.headers = {"X-Consul-Token": token} if token else {}

    async def __call__(self, verb, path, body=None, *, status=200, **options):
        """The decoded answer; the text where another status is expected."""
        response = await self.http.request(
            verb, path, json=body, headers=self.headers | options.pop("headers", {}), **options
        )
        assert response.status_code == status, response.text
        if status != 200:
            return response.text
        return response.json() if response.content else None


@pytest.fixture
async def bearing(services):
    """A client that bears this token."""
    transport = httpx.ASGITransport(make_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=30) as http:
        yield lambda token="": Client(http, token)


@pytest.fixture
async def stranger(bearing):
    return bearing()


@pytest.fixture
async def first(stranger):
    """The bootstrap token as it was answered."""
    return await stranger("PUT", "/v1/acl/bootstrap")


@pytest.fixture
async def manager(bearing, first):
    """A client that may do everything."""
    return bearing(first["SecretID"])


@pytest.fixture
async def with_rules(bearing, manager):
    """A client whose token has one policy of these rules."""
    count = 0

    async def with_rules(rules):
        nonlocal count
        count += 1
        policy = await manager("PUT", "/v1/acl/policy", {"Name": f"p{count}", "Rules": rules})
        links = [{"ID": policy["ID"]}]
        token = await manager("PUT", "/v1/acl/token", {"Policies": links})
        return bearing(token["SecretID"])

    return with_rules

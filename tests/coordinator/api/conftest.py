import httpx
import pytest

from coordinator.api.app import make_app
from tests.fakes.api import make_services


@pytest.fixture
async def services():
    return await make_services()


@pytest.fixture
def wanted(services):
    return services.wanted


@pytest.fixture
def authority(services):
    return services.authority


@pytest.fixture
def fleet(services):
    return services.fleet


@pytest.fixture
async def api(services):
    transport = httpx.ASGITransport(make_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=30) as client:
        yield client


@pytest.fixture
def put(api):
    """PUT a body and expect 200; gives the decoded answer."""

    async def put(path, body=None, **params):
        response = await api.put(path, json=body, params=params)
        assert response.status_code == 200, response.text
        return response.json() if response.content else None

    return put


@pytest.fixture
def get(api):
    """GET and expect 200; gives the decoded answer."""

    async def get(path, **params):
        response = await api.get(path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    return get

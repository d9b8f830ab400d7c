import pytest
import trio

from tests.fakes.consul_api import ConsulApi
from tests.fakes.pki import Pki, client_context


@pytest.fixture(scope="session")
def pki():
    return Pki()


@pytest.fixture
async def consul(pki):
    """A coordinator's API, which runs."""
    api = ConsulApi(pki)
    async with api.running():
        yield api


@pytest.fixture
async def nursery():
    async with trio.open_nursery() as opened:
        yield opened
        opened.cancel_scope.cancel()


@pytest.fixture
def api_context(pki, tmp_path):
    return client_context(tmp_path, pki.service("api"), pki.pem)

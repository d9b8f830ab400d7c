import pytest

from tests.fakes.consul_api import ConsulApi
from tests.fakes.pki import Pki


@pytest.fixture(scope="session")
def pki():
    return Pki()


@pytest.fixture
async def consul(pki):
    """A coordinator's API, which runs."""
    api = ConsulApi(pki)
    async with api.running():
        yield api

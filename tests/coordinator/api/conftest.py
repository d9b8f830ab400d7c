"""The API over a store in memory, a real CA and a fleet that says what it is told to say."""

import random
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from coordinator.api.app import make_app
from coordinator.api.services import Services
from coordinator.ca.authority import Authority
from coordinator.store.history import Published
from coordinator.store.memory import MemoryStore
from coordinator.store.wanted import Wanted

NOW = 1_800_000_000.0


@dataclass
class ScriptedFleet:
    live: list[dict[str, Any]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def status(self):
        return {"generation": 7, "digest": "d1", "nodes": [], "convergence_seconds": {}}

    async def query(self, what, arguments):
        assert what == "connections"
        return self.live

    async def close(self, connections):
        self.closed += connections


class ScriptedHistory:
    async def list(self):
        return (Published(epoch="e", generation=7, digest="d1", at=NOW, size_bytes=10),)


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore())


@pytest.fixture
async def authority(wanted):
    return await Authority.open(
        wanted, datacenter="dc1", config={}, now=lambda: NOW, chance=random.Random(1)
    )


@pytest.fixture
def fleet():
    return ScriptedFleet()


@pytest.fixture
def services(wanted, authority, fleet):
    return Services(
        wanted=wanted,
        authority=authority,
        fleet=fleet,
        history=ScriptedHistory(),
        datacenter="dc1",
        node_name="c1",
        default_allow=False,
        version="0.1.0",
        clock=lambda: NOW,
        chance=random.Random(2),
    )


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

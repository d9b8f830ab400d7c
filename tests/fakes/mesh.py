"""A whole mesh in this process: a coordinator's store, CA and API, gateways of every kind, and a sidecar.

What is composed from the store is offered to the gateways as it is; the sidecar asks the API.
"""

import contextlib
import os
import signal
import ssl
import tempfile
from pathlib import Path

import httpx
import trio

from cluster.certs import Leaf
from cluster.identity import ServiceId
from cluster.keys import csr_pem, new_key_pem
from cluster.messages import Ack
from cluster.process.clock import wall_clock
from cluster.snapshot import Trust
from coordinator.api.serve import serve
from coordinator.compose.compose import compose
from coordinator.entries.entry import check_entry
from coordinator.store.records import Put
from coordinator.store.tables import ENTRIES
from tests.fakes.api import make_services
from tests.fakes.pki import client_context
from tests.fakes.rig import eventually, rig, tls_client
from tests.harness.programs import free_port
from worker.sidecar.api import open_api
from worker.sidecar.app import Sidecar
from worker.sidecar.config import parse_arguments
from worker.sweeper import sweep

#: The node that the gateways are registered at.
NODE = "n1"


class Mesh:
    """`put` anything that the API takes; `offer` what it comes to."""

    def __init__(self, services, node, folder, api):
        self.services, self.node, self.folder, self.api = services, node, folder, api
        self.contexts = {}
        self.sidecar = None

    async def put(self, path, body):
        response = await self.api.put(path, json=body)
        assert response.status_code == 200, response.text
        return response

    async def entry(self, kind, name, **fields):
        await self.put("/v1/config", {"Kind": kind, "Name": name, **fields})

    async def force(self, kind, name, **fields):
        """An entry that was right when it was written, and that the API would not take now."""
        checked, _, _ = check_entry({"Kind": kind, "Name": name, **fields})
        change = Put(table=ENTRIES, key=f"{kind}/{name}", value=checked.body)
        await self.services.wanted.commit([change])

    async def withdraw(self, kind, name):
        response = await self.api.delete(f"/v1/config/{kind}/{name}")
        assert response.status_code == 200, response.text

    async def service(self, name, port, node=NODE, **fields):
        """Register an instance on loopback."""
        instance = {"Service": name, "Address": "127.0.0.1", "Port": port, **fields}
        where = {"Node": node, "Address": "127.0.0.1", "SkipNodeUpdate": False}
        await self.put("/v1/catalog/register", where | {"Service": instance})

    async def offer(self):
        """Have the gateways serve what is wanted now."""
        services = self.services
        trust = Trust(datacenter="dc1", bundle=services.authority.trust_bundle())
        made = compose(
            services.wanted.state,
            default_allow=services.default_allow,
            trust=trust,
            now=services.clock(),
        )
        assert isinstance(await self.node.offer(made.snapshot), Ack)
        return made

    async def leaf(self, service, dns_names=()):
        authority, key = self.services.authority, new_key_pem()
        trust_domain = authority.trust_domain
        uri = ServiceId(trust_domain=trust_domain, service=service, datacenter="dc1").uri
        signed = await authority.sign(csr_pem(key, uri, dns_names))
        return Leaf(
            uri=uri,
            chain_pem=signed.chain_pem,
            key_pem=key,
            not_before=signed.not_before,
            not_after=signed.not_after,
        )

    async def context(self, service, alpn=()):
        """What a client of the mesh shows and believes."""
        if (service, alpn) not in self.contexts:
            (root,) = self.services.authority.trust_bundle().roots
            made = client_context(self.folder, await self.leaf(service), root.pem)
            made.set_alpn_protocols(list(alpn))
            made.verify_flags &= ~ssl.VERIFY_X509_STRICT
            self.contexts[service, alpn] = made
        return self.contexts[service, alpn]

    def sni(self, service):
        return f"{service}.default.dc1.internal.{self.services.authority.trust_domain}"

    async def call(self, port, service, source, alpn=()):
        """A caller of the mesh at this port, that asks for this service."""
        return await tls_client(port, await self.context(source, alpn), self.sni(service))

    async def call_from_outside(self, port):
        """A client that no certificate names."""
        return await trio.open_tcp_stream("127.0.0.1", port)

    def worlds(self):
        """Whatever decides: the gateways' worker, and the sidecar."""
        yield self.node.world
        if self.sidecar is not None:
            yield self.sidecar.world


@contextlib.asynccontextmanager
async def mesh(*, default_allow=False, **options):
    """A mesh with nobody in it; `options` are those of the rig."""
    services = await make_services(default_allow=default_allow, clock=wall_clock)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        async with rig(**options) as node, trio.open_nursery() as nursery:
            nursery.start_soon(sweep, node.world)
            bound = await nursery.start(_serve, services, folder / "api.sock")
            transport = httpx.AsyncHTTPTransport(uds=bound.unix.removeprefix("unix://"))
            async with httpx.AsyncClient(transport=transport, base_url="http://c") as api:
                yield Mesh(services, node, folder, api)
            node.world.pools.close()
            nursery.cancel_scope.cancel()


async def _serve(services, path, task_status):
    await serve(services, unix_path=path, task_status=task_status)


@contextlib.asynccontextmanager
async def sidecar(mesh, service, program_port):
    """A sidecar before a program on loopback, until the block ends; its port in the mesh."""
    port = free_port()
    arguments = ["-service", service, "-http-addr", f"unix://{mesh.folder}/api.sock"]
    places = ["-service-addr", f"127.0.0.1:{program_port}", "-listen", f"127.0.0.1:{port}"]
    config = parse_arguments([*arguments, *places])
    async with open_api(config.api, "") as api, trio.open_nursery() as nursery:
        mesh.sidecar = Sidecar(config, api)
        nursery.start_soon(mesh.sidecar.run)
        await eventually(lambda: mesh.sidecar.world.current.view.gateways)
        yield port  # what is raised here cancels it, and then nobody would take the signal
        await trio.testing.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)
    mesh.sidecar = None

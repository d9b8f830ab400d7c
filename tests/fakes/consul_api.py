"""The parts of a coordinator's HTTP API that a sidecar uses, over real HTTP, with values that tests set.

Blocking queries block. It can go away and come back at the same port.
"""

import contextlib
import json
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.fakes.pki import TRUST_DOMAIN
from worker.net.sockets import listening_socket


class ConsulApi:
    """`values` by path; those in `unindexed` have no index to wait for."""

    def __init__(self, pki):
        self.pki = pki
        self.port = 0
        self.index = 1
        self.values = {}
        self.unindexed = {"/v1/agent/self"}
        self.registered = {}
        self.signed = []
        self.asked = []
        self.failing = {}  # path to (status, text)
        self.leaf_options = {}
        self._changed = trio.Event()
        self.settings()
        self.roots()
        self.providers()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def put(self, path, value, index=None):
        """Change a value; whoever waits for it hears of it."""
        self.index = index if index is not None else self.index + 1
        self.values[path] = (value, self.index)
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    def settings(self, default="deny", datacenter="dc1"):
        config = {"Datacenter": datacenter, "DefaultIntentionPolicy": default}
        self.put("/v1/agent/self", {"Config": config})

    def entry(self, kind, name, **fields):
        """Write a configuration entry."""
        self.put(f"/v1/config/{kind}/{name}", {"Kind": kind, "Name": name, **fields})

    def withdraw(self, kind, name):
        """Delete one."""
        self.put(f"/v1/config/{kind}/{name}", None)

    def providers(self, *entries):
        self.put("/v1/config/jwt-provider", list(entries))

    def roots(self, *more, active=0):
        roots = [self.pki, *more]
        listed = [
            {"ID": f"r{at}", "RootCert": pki.pem.decode(), "Active": at == active}
            for at, pki in enumerate(roots)
        ]
        value = {"TrustDomain": TRUST_DOMAIN, "ActiveRootID": f"r{active}", "Roots": listed}
        self.put("/v1/connect/ca/roots", value)

    def endpoints(self, service, *ports, kind="connect", status="passing"):
        entries = [
            {
                "Node": {"Node": "n", "Address": "127.0.0.1"},
                "Service": {"ID": f"{service}-{port}", "Service": service, "Port": port},
                "Checks": [{"Status": status}],
            }
            for port in ports
        ]
        self.put(f"/v1/health/{kind}/{service}", entries)

    def intentions(self, service, *pairs):
        """Pairs of source and action, or the fields that are there in its place, in order."""
        rules = [
            {"SourceName": source, "DestinationName": service}
            | (says if isinstance(says, dict) else {"Action": says})
            for source, says in pairs
        ]
        self.put("/v1/connect/intentions/match", {service: rules})

    @contextlib.asynccontextmanager
    async def running(self):
        listener = listening_socket("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 0.1
        app = Starlette(
            routes=[
                Route("/v1/lockgate/connect/sign", self._sign, methods=["POST"]),
                Route("/v1/agent/service/register", self._register, methods=["PUT"]),
                Route("/v1/agent/service/deregister/{id}", self._deregister, methods=["PUT"]),
                Route("/{path:path}", self._read),
            ]
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, app, config, shutdown_trigger=trio.sleep_forever))
            yield self
            nursery.cancel_scope.cancel()

    async def _read(self, request):
        path, query = request.url.path, request.query_params
        self.asked.append(path)
        if path in self.failing:
            status, text = self.failing[path]
            return PlainTextResponse(text, status_code=status)
        if path not in self.values and not path.startswith("/v1/config/"):
            return PlainTextResponse("no such path", status_code=404)
        if "index" in query:
            while self.values.get(path, (None, 1))[1] == int(query["index"]):
                await self._changed.wait()
        value, index = self.values.get(path, (None, 1))
        if value is None:
            absent = {"X-Consul-Index": str(index)}
            return PlainTextResponse("Config entry not found", status_code=404, headers=absent)
        if isinstance(value, bytes):
            return Response(value, headers={"X-Consul-Index": str(index)})
        headers = {} if path in self.unindexed else {"X-Consul-Index": str(index)}
        return JSONResponse(value, headers=headers)

    async def _sign(self, request):
        if "sign" in self.failing:
            status, text = self.failing["sign"]
            return PlainTextResponse(text, status_code=status)
        csr = json.loads(await request.body())["CSR"].encode()
        chain = self.pki.sign(csr, **self.leaf_options)
        self.signed.append(chain)
        return JSONResponse({"CertPEM": chain.decode()})

    async def _register(self, request):
        body = json.loads(await request.body())
        self.registered[body["Name"]] = body
        return Response()

    async def _deregister(self, request):
        self.registered.pop(request.path_params["id"])
        return Response()

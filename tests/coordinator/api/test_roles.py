"""Who speaks on the unix socket: real processes of other users, asked of by the kernel."""

import dataclasses
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest
import trio

from coordinator.api.serve import serve
from tests.fakes.api import make_access

ADMIN_GROUP = ("daemon", 1)
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="Debian package curl"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="Debian package util-linux"),
]


@pytest.fixture
def path():
    """A socket's path that other users can reach."""
    with tempfile.TemporaryDirectory(prefix="lg-roles-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "admin.sock"


@pytest.fixture
async def start(services, path, nursery):
    async def start(enabled=True, **options):
        access = make_access(services.wanted, **options)
        access.enabled = enabled
        serving = dataclasses.replace(services, access=access)
        await nursery.start(partial(serve, serving, unix_path=path, group=ADMIN_GROUP[0]))
        path.chmod(0o666)  # the credentials count, not the mode

    return start


@pytest.fixture
def ask(path):
    async def ask(verb, url, *, uid=0, gid=0, token=""):
        """The status that a curl of this user gets."""
        become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", verb]
        header = ["-H", f"X-Consul-Token: {token}"] if token else []
        target = ["--unix-socket", str(path), f"http://api{url}", "-d", "{}"]
        done = await trio.run_process([*become, *curl, *header, *target], capture_stdout=True)
        return int(done.stdout)

    return ask


READ, WRITE = ("GET", "/v1/lockgate/status"), ("PUT", "/v1/catalog/deregister")
ACL = ("GET", "/v1/acl/tokens")


async def test_root_may_everything(start, ask):
    await start()
    assert [await ask(*one) for one in (READ, WRITE, ACL)] == [200, 400, 200]


async def test_a_stranger_nothing_whatever_token(start, ask):
    await start()
    stranger = {"uid": 65534, "gid": 65534}
    assert [await ask(*one, **stranger) for one in (READ, WRITE, ACL)] == [403, 403, 403]
    assert await ask(*READ, **stranger, token="7") == 403


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        ("management", [200, 400, 200]),
        ("operator", [200, 400, 403]),
        ("read", [200, 400, 200]),
    ],
)
async def test_the_admin_group_may_what_its_role_says(start, ask, role, statuses):
    await start(admin_role=role)
    member = {"uid": 65534, "gid": ADMIN_GROUP[1]}
    assert [await ask(*one, **member) for one in (READ, WRITE, ACL)] == statuses


async def test_the_role_counts_without_access_control_lists_too(start, ask):
    await start(enabled=False, admin_role="read")
    member = {"uid": 65534, "gid": ADMIN_GROUP[1]}
    assert await ask("GET", "/v1/lockgate/nodes", **member) == 200
    assert await ask("DELETE", "/v1/lockgate/nodes/n1", **member) == 403
    assert await ask("DELETE", "/v1/lockgate/nodes/n1") == 404


async def test_who_shows_a_token_is_its_bearer(start, ask):
    await start()
    unknown = "b2f1d7e0-0000-4000-8000-000000000000"
    assert await ask(*READ, token=unknown) == 403

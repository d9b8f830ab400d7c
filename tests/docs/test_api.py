"""The lists of docs/api.md are made from coordinator/api/reference.toml; `UPDATE_DOCS=1` writes them anew.

Its curl lines are run, in order, by a shell with a real curl against a real coordinator.
"""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.api.app import make_app
from coordinator.api.openapi import reference, served
from tests.fakes.api import make_services
from tests.harness.coordinator import coordinator, place
from tests.harness.programs import PATIENCE, program

PAGE = Path(__file__).parents[2] / "docs" / "api.md"

MARK = "<!-- From here on made from coordinator/api/reference.toml. -->\n"


@pytest.fixture
async def routes():
    return dict(served(make_app(await make_services()).routes))


def _page(routes):
    text = MARK
    for family, group in itertools.groupby(reference(), key=lambda one: one.family):
        text += f"\n## {family}\n"
        for one in group:
            text += "\n" + _section(one, routes[one.call])
    return text


def _section(one, answer):
    marks = [word for word, held in _marks(answer) if held]
    marked = f" *({', '.join(marks)})*" if marks else ""
    text = f"### `{one.call}`\n\n{one.does}{marked}\n"
    rows = [f"- `{name}`: {meaning}" for name, meaning in one.query.items()]
    rows += [f"- body: {one.body}"] if one.body else []
    text += "\n" + "\n".join(rows) + "\n" if rows else ""
    return f"{text}\n```sh\n{one.curl}\n```\n"


def _marks(answer):
    yield "blocks", getattr(answer, "tables", ())
    yield "filters", getattr(answer, "filterable", None)


async def test_every_endpoint_is_described_once(routes):
    described = [one.call for one in reference()]
    hint = "add it to coordinator/api/reference.toml, then UPDATE_DOCS=1 pytest tests/docs"
    assert sorted(set(routes) - set(described)) == [], hint
    assert sorted(set(described) - set(routes)) == [], "described, but not served"
    assert len(described) == len(set(described))


async def test_the_page_is_what_the_table_says(routes):
    head, _, made = PAGE.read_text().partition(MARK)
    if os.environ.get("UPDATE_DOCS") == "1":
        PAGE.write_text(head + _page(routes))
    else:
        assert MARK + made == _page(routes)


@pytest.mark.slow
def test_every_line_works_with_a_real_curl(tmp_path):
    """Every other line over the unix socket, the rest over loopback."""
    program("curl", "curl")
    acl = {"enabled": True, "default_policy": "allow"}
    with (
        place() as folder,
        coordinator(folder, admin_socket=f"{folder}/admin.sock", acl=acl) as running,
    ):
        places = [
            f"http://127.0.0.1:{running.port}",
            f"--unix-socket {folder}/admin.sock http://localhost",
        ]
        for one, where in zip(reference(), itertools.cycle(places), strict=False):
            done = _shell(one.curl, where, tmp_path)
            expected = 22 if one.status >= 400 else 0  # what curl --fail ends with
            assert done.returncode == expected, f"{one.call}: {done.stdout} {done.stderr}"
            assert one.shows in done.stdout, f"{one.call}: {done.stdout}"


def _shell(line, where, directory):
    """Run a line as somebody would who copies it; curl fails on an error, and says what came."""
    (directory / ".curlrc").write_text("silent\nshow-error\nfail-with-body\nmax-time = 20\n")
    binaries = Path(sys.executable).parent
    environment = os.environ | {
        "LOCKGATE": where,
        "CURL_HOME": str(directory),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", line],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )

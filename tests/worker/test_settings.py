"""The worker's one argument comes back as it went out, and a wrong one names its defect."""

import pytest

from cluster.errors import ConfigError
from worker.settings import Limits, WorkerSettings, parse, render


def test_comes_back_as_it_went_out():
    settings = WorkerSettings(
        node="a", runtime_dir="/run/x", index=3, limits=Limits(max_age_seconds=1.5)
    )
    assert parse(render(settings)) == settings


def test_says_where_the_node_is():
    settings = WorkerSettings(node="a", runtime_dir="/run/x", index=0)
    assert settings.link_endpoint == "ipc:///run/x/workers.ipc"
    assert settings.sockets_path == "/run/x/sockets"


@pytest.mark.parametrize(
    ("text", "named"),
    [("{", "truncated"), ('{"node": "a"}', "runtime_dir"), ('{"nodes": "a"}', "nodes")],
)
def test_refuses_by_name(text, named):
    with pytest.raises(ConfigError, match=named):
        parse(text)

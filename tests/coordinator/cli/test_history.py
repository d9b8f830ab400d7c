"""history, diff, rollback, as a person sees them."""

import pytest

from tests.fakes.api import NODE

ALLOW, DENY = (
    f'Kind = "service-intentions"\nName = "billing"\n'
    f'Sources = [ {{ Name = "web", Action = "{action}" }} ]\n'
    for action in ("allow", "deny")
)


@pytest.fixture
async def generations(lockgate, services, file):
    """Two revisions: web is allowed, then denied."""
    services.history.published = []
    numbers = []
    for text in (ALLOW, DENY):
        await lockgate("config", "write", file("billing.hcl", text))
        numbers.append(str(services.wanted.state.revision))
    return numbers


async def test_history_names_what_changed_and_who_did_it(lockgate, generations):
    lines = (await lockgate("history")).out.splitlines()
    assert lines[1].split()[0] == f"({generations[1]})"
    assert "user " in lines[1]
    assert "~service-intentions/billing" in lines[1]
    assert "+service-intentions/billing" in lines[2]


async def test_history_and_status_say_who_refused_what_and_the_way_back(
    lockgate, services, generations
):
    good, bad = generations
    services.fleet.refused = {}
    services.fleet.nodes = [
        NODE
        | {
            "state": "nacked",
            "refused_content": True,
            "generation": int(good),
            "problems": ["no leaf"],
        }
    ]
    status = (await lockgate("status")).out
    assert f"lockgate rollback {good}" in status
    assert "n1 refused this generation" in status
    assert bad not in status.split("rollback")[1]


async def test_diff_is_unified_per_field(lockgate, generations):
    out = (await lockgate("diff", *generations)).out
    assert '    - Sources[web].Action = "allow"\n' in out
    assert '    + Sources[web].Action = "deny"\n' in out
    assert "Newly denied: 1\n  - web => billing\n" in out
    assert (await lockgate("diff", generations[0], generations[0])).out == "No difference.\n"
    found = (await lockgate("diff", generations[0], "-format=json")).json
    assert found["newly_denied"] == [{"source": "web", "destination": "billing"}]


async def test_rollback_says_what_it_did_and_a_dry_run_what_it_would(
    lockgate, services, generations
):
    services.fleet.live = [{"id": "n1/0/1", "source": "web", "destination": "billing"}]
    would = (await lockgate("rollback", generations[0], "-dry-run")).out
    assert would.startswith(f"Would roll back to generation {generations[0]}\n")
    assert "Newly allowed: 1\n" in would
    done = (await lockgate("rollback", generations[0])).out
    assert f"rolled back to generation {generations[0]}\n" in done
    again = (await lockgate("rollback", generations[0])).out
    assert again.startswith("Nothing to do")
    assert "no generation 99" in (await lockgate("rollback", "99", status=1)).err

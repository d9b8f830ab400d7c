"""Wanted state in, snapshot out, as files: `NAME.input.json` and `NAME.snapshot.json`.

A new case is a new pair of files. `UPDATE_GOLDEN=1` writes what comes out now; review it as a diff.
"""

import json
import os
from pathlib import Path

import msgspec
import pytest

from coordinator.compose import compose

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "compose"
NAMES = sorted(path.name.removesuffix(".input.json") for path in GOLDEN.glob("*.input.json"))


def test_there_are_cases():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_snapshot(name, state_of, trust):
    wanted = json.loads((GOLDEN / f"{name}.input.json").read_text())
    made = _compose(state_of(**wanted["state"]), wanted, trust)
    golden = GOLDEN / f"{name}.snapshot.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    assert made == json.loads(golden.read_text())


def _compose(state, wanted, trust):
    composed = compose(state, default_allow=wanted.get("default_allow", False), trust=trust)
    made = json.loads(msgspec.json.encode(composed.snapshot))
    del made["trust"]
    if composed.problems:
        made["problems"] = [str(problem) for problem in composed.problems]
    return made

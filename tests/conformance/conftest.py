"""How Consul itself decides: cases from outside the repository, found by LOCKGATE_CONFORMANCE.

Belongs here: finding the cases, handing them to tests, and saying which are not covered yet.
Never here: a case or an expectation; `differences.py` names those that we answer differently on purpose.

    @pytest.mark.cases("spiffe", op="parse")
    def test_parse(case): ...

runs once for each case of spiffe.json whose `op` is `parse`; a frozenset is any of several.
"""

import json
import os
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = (ROOT / os.environ.get("LOCKGATE_CONFORMANCE", "../shared/conformance")) / "consul"
PROBES = "intention_enforcement"  # a case there is a set of probes
#: The tables of mesh and terminating gateways that can be built.
GATEWAY_ROUTES = frozenset(
    {
        "mesh-gateway",
        "mesh-gateway-service-subsets",
        "mesh-gateway-default-service-subset",
        "mesh-gateway-hash-lb-ignored",
        "mesh-gateway-non-hash-lb-injected",
        "mesh-gateway-no-services",
        "terminating-gateway",
        "terminating-gateway-service-subsets",
        "terminating-gateway-sni",
        "terminating-gateway-no-api-cert",
        "terminating-gateway-no-services",
    }
)
DIFFERENCES = runpy.run_path(str(Path(__file__).with_name("differences.py")))["DIFFERENCES"]

#: What has a test here or in a neighbouring file, by file and by the field that tells cases apart.
#: None is all of a file.
COVERED: dict[str, tuple[str, frozenset[str]] | None] = {
    "sni": None,
    "spiffe": None,
    "intentions": None,
    PROBES: ("listener_protocol", frozenset({"tcp", "http"})),
    "config_validation": None,
    "discovery_chain": None,
    "graph_validation": None,
    "ingress_hosts": None,
    # The others take federated datacenters, peers, or Consul's own servers.
    "gateway_routes": ("name", GATEWAY_ROUTES),
    "misc": None,
}


def cases(file: str) -> list[dict[str, Any]]:
    """The cases of one file. Fails with a sentence when they are not there."""
    path = FOLDER / f"{file}.json"
    if not path.is_file():
        pytest.fail(
            f"the conformance cases are not at {path}: set LOCKGATE_CONFORMANCE to the folder"
            " that holds consul/",
            pytrace=False,
        )
    found: list[dict[str, Any]] = json.loads(path.read_text())["cases"]
    return found


def pytest_configure(config):
    config.addinivalue_line("markers", "cases(file, **fields): run with each such case as `case`")


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("cases")
    if marker is None:
        return
    (file,) = marker.args
    wanted = [case for case in cases(file) if _is_wanted(case, marker.kwargs)]
    assert wanted, f"{file}.json has no case with {marker.kwargs}"
    test = metafunc.function.__name__
    metafunc.parametrize("case", [_param(case, test) for case in wanted])


def _is_wanted(case, fields):
    """Whether each field is what is asked for, or one of several."""
    several = {name: asked for name, asked in fields.items() if isinstance(asked, frozenset)}
    one = {name: asked for name, asked in fields.items() if name not in several}
    return one.items() <= case.items() and all(case[n] in asked for n, asked in several.items())


def _param(case, test):
    """A difference on purpose must be one: answering as Consul does makes its test fail."""
    reason = DIFFERENCES.get(case["id"]) or DIFFERENCES.get(f"{case['id']} in {test}")
    marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
    return pytest.param(case, id=case["id"], marks=marks)


def pytest_terminal_summary(terminalreporter):
    if not FOLDER.is_dir():
        return
    terminalreporter.section("conformance")
    for path in sorted(FOLDER.glob("*.json")):
        for what, count in sorted(_not_covered(path.stem).items()):
            where = f"{path.name} ({what})" if what else path.name
            unit = "probes" if path.stem == PROBES else "cases"
            terminalreporter.line(f"not yet covered: {count} {unit} in {where}")
    for identity, reason in DIFFERENCES.items():
        terminalreporter.line(f"different on purpose: {identity}: {reason}")


def _not_covered(file: str) -> Counter[str]:
    """How many cases of a file have no test, by what tells them apart."""
    covered = COVERED.get(file, ("", frozenset[str]()))
    if covered is None:
        return Counter()
    field, values = covered
    found = cases(file)
    if file == PROBES:
        found = [probe for case in found for probe in case["probes"]]
    return Counter(case.get(field, "") for case in found if case.get(field) not in values)

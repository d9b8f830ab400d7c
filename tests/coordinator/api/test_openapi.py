"""The server answers as its own OpenAPI document says, whatever it is asked: schemathesis asks."""

import warnings

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings

from coordinator.api.app import make_app
from coordinator.api.openapi import document
from tests.fakes.api import make_services
from tests.harness.coordinator import coordinator, place

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)
EXAMPLES = 6


def _document():
    async def make():
        return document(make_app(await make_services()).routes, "1.0")

    return trio.run(make)


SCHEMA = schemathesis.openapi.from_dict(_document())
#: It never ends; test_monitor.py asks it.
ENDLESS = "/v1/lockgate/monitor"
OPERATIONS = [one for found in SCHEMA.get_all_operations() if (one := found.ok()).path != ENDLESS]


@pytest.fixture(scope="module")
def running():
    with place() as folder, coordinator(folder) as running:
        yield running
        log = running.log.read_text().splitlines()
        assert not [line for line in log if "Traceback" in line or "a bug" in line]


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_what_is_answered_is_what_is_described(operation, running):
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case):
        if case.query:
            case.query.pop("index", None)  # it would wait
        response = case.call(base_url=f"http://127.0.0.1:{running.port}")
        case.validate_response(response, checks=CHECKS if response.content else CHECKS[:1])
        if response.status_code >= 500:
            assert response.text.strip(), "refused without a reason"

    ask()


async def test_it_is_a_document_that_tools_can_read(api):
    served = (await api.get("/v1/lockgate/openapi.json")).json()
    assert served["openapi"] == "3.1.0"
    operations = [one for path in served["paths"].values() for one in path.values()]
    ids = [one["operationId"] for one in operations]
    assert len(ids) == len(set(ids)) > 50
    assert all(one["summary"] for one in operations)

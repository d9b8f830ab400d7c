"""A coordinator for clients that others wrote; each test names its own services."""

import pytest

from tests.harness.coordinator import coordinator, place


@pytest.fixture(scope="package")
def server():
    with place() as folder, coordinator(folder) as started:
        yield started

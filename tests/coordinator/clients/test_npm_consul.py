"""`consul`, the npm client that others wrote, against a real coordinator; its tests are in `npm/`."""

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", ["catalog", "agent", "health", "watch", "kv"])
def test_the_client_works(npm, server, family):
    npm(server, family)

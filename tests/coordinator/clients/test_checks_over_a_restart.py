"""TTL checks when the coordinator that keeps their time is killed and comes back."""

import consul
import pytest

from tests.harness.coordinator import coordinator, place
from tests.harness.programs import wait_until

pytestmark = pytest.mark.slow


def test_a_check_keeps_its_status_and_gets_its_whole_time_again():
    """While nobody could report, nobody is late; who stays silent afterwards is."""
    with place() as folder:
        with coordinator(folder) as first:
            client = consul.Consul(port=first.port)
            client.agent.service.register("web", check=consul.Check.ttl("2s"))
            client.agent.check.ttl_pass("service:web")
            client.http.session.close()
            first.process.kill()
        with coordinator(folder) as second:
            client = consul.Consul(port=second.port)

            def status():
                return client.agent.checks()["service:web"]["Status"]

            assert status() == "passing"
            wait_until("the check has expired", lambda: status() == "critical")
            client.agent.check.ttl_pass("service:web")
            assert status() == "passing"
            client.http.session.close()

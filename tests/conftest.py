"""What holds for every test: how hypothesis searches. Fixtures live beside the tests that use them.

How long one example takes, and how fast examples are made, says how busy the machine is and nothing about
the code: neither is ever a failure. Where nothing may be left to chance (LOCKGATE_REQUIRE=1, as `.ci/run`
sets it) the examples are the same in every run; elsewhere each run looks at others.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "lockgate",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("LOCKGATE_REQUIRE") == "1",
    print_blob=True,
)
settings.load_profile("lockgate")

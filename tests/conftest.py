"""What holds for every test: how hypothesis searches, and how many descriptors there are.

Fixtures live beside the tests that use them.

How long one example takes, and how fast examples are made, says how busy the machine is and nothing about
the code: neither is ever a failure. Where nothing may be left to chance (LOCKGATE_REQUIRE=1, as `.ci/run`
sets it) the examples are the same in every run; elsewhere each run looks at others.
"""

import os
import resource

from hypothesis import HealthCheck, settings

settings.register_profile(
    "lockgate",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("LOCKGATE_REQUIRE") == "1",
    print_blob=True,
)
settings.load_profile("lockgate")

#: Some tests hold thousands of connections; where people log in, a process begins with 1,024 descriptors.
_ENOUGH = 65_536
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_most = _ENOUGH if _hard == resource.RLIM_INFINITY else min(_ENOUGH, _hard)
if resource.RLIM_INFINITY != _soft < _most:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _hard))

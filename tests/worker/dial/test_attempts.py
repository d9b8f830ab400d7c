"""What failed attempts add up to."""

import errno

import pytest

from cluster.errors import Refused, UpstreamFault
from cluster.reasons import End
from worker.dial.attempts import Attempt, failed, timed_out, verdict

REFUSED = failed("10.0.0.1:80", OSError(errno.ECONNREFUSED, ""))
SILENT = timed_out("10.0.0.2:80", 2.5)
NO_PORT = failed("10.0.0.3:80", OSError(errno.EADDRNOTAVAIL, ""))
NO_NAME = Attempt(place="db.test:80", text="no such name in DNS")


@pytest.mark.parametrize(
    ("attempts", "end"),
    [
        ([], End.NO_ENDPOINT),
        ([REFUSED], End.DIAL_REFUSED),
        ([SILENT], End.DIAL_TIMEOUT),
        ([REFUSED, SILENT], End.DIAL_TIMEOUT),
        ([SILENT, REFUSED], End.DIAL_REFUSED),
        ([NO_NAME], End.DIAL_REFUSED),
        ([NO_PORT, REFUSED], End.DIAL_REFUSED),
        ([failed("a:1", OSError(errno.ETIMEDOUT, ""))], End.DIAL_TIMEOUT),
        ([failed("a:1", OSError(errno.EHOSTUNREACH, ""))], End.DIAL_REFUSED),
    ],
)
def test_the_last_attempt_decides(attempts, end):
    error = verdict(attempts)
    assert isinstance(error, UpstreamFault)
    assert error.end is end


def test_no_source_port_anywhere_is_our_overload():
    error = verdict([NO_PORT, NO_PORT])
    assert isinstance(error, Refused)
    assert error.end is End.OVERLOAD
    assert "ip_local_port_range" in error.detail


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_an_exhausted_host_stops_the_trying(number):
    with pytest.raises(Refused, match=r"10\.0\.0\.1:80: no socket") as caught:
        failed("10.0.0.1:80", OSError(number, ""))
    assert caught.value.end is End.OVERLOAD


def test_the_detail_names_every_place_and_why():
    assert verdict([REFUSED, SILENT, NO_NAME]).detail == (
        "10.0.0.1:80: Connection refused; 10.0.0.2:80: no answer in 2.5 s;"
        " db.test:80: no such name in DNS"
    )

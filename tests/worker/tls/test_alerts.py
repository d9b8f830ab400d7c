"""The refusal bytes, and what a real TLS client makes of them."""

import socket
import ssl

import pytest

from cluster.reasons import HelloReject
from worker.tls.alerts import Description, alert, refusal


def test_every_reason_has_an_answer():
    answers = {reject: refusal(reject) for reject in HelloReject}
    told = {reject for reject, answer in answers.items() if answer}
    assert told == {HelloReject.NO_SNI, HelloReject.UNKNOWN_SNI}
    assert refusal(HelloReject.NO_SNI) == b"\x15\x03\x03\x00\x02\x02\x70"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_of_either_version_understands_the_alert(version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(alert(Description.UNRECOGNIZED_NAME))
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(ssl.SSLError) as caught:
            context.wrap_socket(theirs, server_hostname="a.b")
    assert "UNRECOGNIZED_NAME" in str(caught.value)

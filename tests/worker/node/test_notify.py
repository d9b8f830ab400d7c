"""systemd hears of the node, or nobody asked."""

import socket

from worker.node.notify import READY, notify


def test_sends_to_a_path_and_to_an_abstract_name(tmp_path):
    path = str(tmp_path / "notify")
    for address, environment in ((path, path), ("\0lockgate-test", "@lockgate-test")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(address)
            assert notify(READY, {"NOTIFY_SOCKET": environment})
            assert systemd.recv(100) == b"READY=1"


def test_nobody_there_is_no_error(tmp_path):
    for value in ({}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        assert not notify(READY, value)

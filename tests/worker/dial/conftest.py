"""DNS servers for the resolver: a real dnsmasq, and one that answers as a test says."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
import pytest
import trio

from tests.harness.programs import free_port


class Dnsmasq:
    """dnsmasq on a loopback port; its addresses are lines of a hosts file, with a TTL of 1 s."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.hosts = folder / "dnsmasq.hosts"
        self.hosts.touch()
        self.resolv_conf = folder / "resolv.conf"
        self.resolv_conf.write_text("nameserver 127.0.0.1\nsearch search.test\n")
        self.options = options

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                f"--port={self.port}",
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--no-resolv",
                "--no-hosts",
                f"--addn-hosts={self.hosts}",
                "--local=/test/",
                "--local-ttl=1",
                "--cname=alias.test,db.test",
                "--user=root",
                "--pid-file=",
                "--log-facility=-",
                *self.options,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        self._wait_for(str(self.hosts))

    def set(self, *lines: str) -> None:
        """Serve these lines from now on."""
        self.hosts.write_text("".join(f"{line}\n" for line in lines))
        self.process.send_signal(signal.SIGHUP)
        self._wait_for(str(self.hosts))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def _wait_for(self, text: str) -> None:
        for line in self.process.stderr:
            if text in line:
                return
        raise AssertionError(f"dnsmasq ended: {self.process.wait()}")


class ScriptedDns:
    """Answers each question by `reply(name, kind)`: addresses, an rcode, or None for silence."""

    def __init__(self, folder: Path, reply) -> None:
        self.reply = reply
        self.questions: list[tuple[str, str]] = []
        self._asked = trio.Event()
        self.socket = trio.socket.socket(type=socket.SOCK_DGRAM)
        self.resolv_conf = folder / "scripted.conf"
        self.resolv_conf.write_text("nameserver 127.0.0.1\n")

    async def serve(self, task_status) -> None:
        await self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        task_status.started()
        with self.socket:
            while True:
                data, sender = await self.socket.recvfrom(4096)
                answer = self.answer(dns.message.from_wire(data))
                if answer is not None:
                    await self.socket.sendto(answer.to_wire(), sender)

    async def wait_asked(self, count: int) -> None:
        while len(self.questions) < count:
            self._asked = trio.Event()
            await self._asked.wait()

    def answer(self, question):
        name = question.question[0].name
        kind = question.question[0].rdtype.name
        self.questions.append((name.to_text(omit_final_dot=True), kind))
        self._asked.set()
        reply = self.reply(*self.questions[-1])
        if reply is None:
            return None
        answer = dns.message.make_response(question)
        if isinstance(reply, dns.rcode.Rcode):
            answer.set_rcode(reply)
        elif reply:
            answer.answer.append(dns.rrset.from_text(name, 1, "IN", kind, *reply))
        return answer


@pytest.fixture
def dnsmasq(tmp_path):
    if shutil.which("dnsmasq") is None:
        if os.environ.get("LOCKGATE_REQUIRE") == "1":
            pytest.fail("the Debian package dnsmasq is not installed")
        pytest.skip("needs the Debian package dnsmasq")
    server = Dnsmasq(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def scripted(tmp_path, nursery):
    """A function that starts a `ScriptedDns` with a `reply`."""

    async def start(reply):
        server = ScriptedDns(tmp_path, reply)
        await nursery.start(server.serve)
        return server

    return start

"""The load generator counts what goes well, and tells what does not by its cause."""

import contextlib
import json
import socket
import ssl
import struct
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.bench.processes import free_port
from tests.harness.programs import lacking, program

pytestmark = pytest.mark.slow
LOAD = Path(__file__).parent / "load"
#: A frame of the wire: an operation, three zeros, a length.
FRAME_BYTES = 8


@pytest.fixture(scope="module")
def generator():
    program("gcc", "gcc")
    program("make", "make")
    if not Path("/usr/include/openssl/ssl.h").exists():
        lacking("openssl/ssl.h", "libssl-dev")
    subprocess.run(["make", "-s", "-C", str(LOAD)], check=True, timeout=120)
    return str(LOAD / "lockload")


@pytest.fixture
def upstream(generator):
    port = free_port()
    process = subprocess.Popen([generator, "upstream", "--port", str(port)], stdout=subprocess.PIPE)
    assert json.loads(process.stdout.readline()) == {"ready": True}
    yield port
    process.terminate()
    process.communicate(timeout=10)


@contextmanager
def serving(serve):
    """A server that does `serve(connection)` with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    serve(connection)

        thread = threading.Thread(target=accept, daemon=True)  # noqa: TID251 -- stands for another process
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def drive(generator, mode, port, *options):
    command = [generator, mode, "--port", str(port), "--seconds", "0.2", "--warmup", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("options", [(), ("--sni", "web.example")], ids=["bare", "hello"])
@pytest.mark.parametrize("mode", ["connect", "echo"])
def test_answers_are_counted(generator, upstream, mode, options):
    said = drive(generator, mode, upstream, "--connections", "10", *options)
    assert said["failures"] == {}
    assert said["total_operations"] >= said["operations"] > 10
    assert 0 < said["p50_us"] <= said["p99_us"]


def test_connections_that_end_with_a_reset_are_counted_as_well(generator, upstream):
    said = drive(generator, "connect", upstream, "--reset")
    assert said["failures"] == {}
    assert said["operations"] > 10


@pytest.mark.parametrize("mode", ["down", "up"])
def test_streams_are_measured_at_the_receiving_end(generator, upstream, mode):
    said = drive(generator, mode, upstream, "--connections", "2")
    assert said["failures"] == {}
    assert said["gbit_per_second"] > 0.1
    assert said["total_bytes"] >= said["bytes"] > 0


@pytest.mark.parametrize("size", ["1", "1024", "1000000"])
@pytest.mark.parametrize("mode", ["get", "put", "once"])
def test_requests_of_http_are_counted(generator, upstream, mode, size):
    said = drive(generator, mode, upstream, "--connections", "3", "--bytes", size)
    assert said["failures"] == {}
    assert said["total_operations"] >= said["operations"] > 10
    assert said["bytes"] == said["operations"] * int(size)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 1024\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1023\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n" + bytes(1024),
    ],
    ids=["not-found", "short", "other-bytes"],
)
def test_another_answer_than_the_one_asked_for_is_told(generator, answer):
    def serve(connection):
        connection.recv(1000)
        connection.sendall(answer)
        with contextlib.suppress(ConnectionResetError):
            connection.recv(1)

    with serving(serve) as port:
        assert drive(generator, "get", port)["failures"] == {"wrong_bytes": 1}


def test_idle_connections_are_held_until_standard_input_ends(generator, upstream):
    command = [generator, "idle", "--port", str(upstream), "--connections", "300"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline()) == {"ready": 300}
        process.stdin.close()
        assert json.loads(process.stdout.read())["failures"] == {}


def test_a_port_that_nobody_listens_on_is_refused(generator):
    said = drive(generator, "echo", free_port(), "--connections", "3")
    assert said["failures"] == {"refused": 3}
    assert said["operations"] == 0


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    """Files of an authority and of one certificate, which server and client share."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    leaf = authority.issue_cert("web.example")
    leaf.private_key_pem.write_to_path(folder / "key")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert")
    authority.cert_pem.write_to_path(folder / "roots")
    return folder


def answer_over_tls(folder):
    """One answer, close_notify, and no FIN before the client's close_notify is there, as nginx does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    context.load_verify_locations(folder / "roots")
    context.verify_mode = ssl.CERT_REQUIRED

    def serve(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with (
            contextlib.suppress(OSError),  # at its end the generator leaves what is under way
            context.wrap_socket(connection, server_side=True) as sock,
        ):
            length = int.from_bytes(sock.recv(FRAME_BYTES)[4:], "big")
            sock.sendall(bytes(i % 251 for i in range(length)))
            sock.unwrap()

    return serve


@pytest.mark.parametrize("resume", [False, True], ids=["full", "resumed"])
def test_mutual_tls_is_counted_and_so_is_what_was_resumed(generator, credentials, resume):
    files = [f"--{name}={credentials / name}" for name in ("cert", "key", "roots")]
    with serving(answer_over_tls(credentials)) as port:
        options = ("--tls", "--verify", "--sni", "web.example", *files, *["--resume"] * resume)
        said = drive(generator, "connect", port, *options)
    assert said["failures"] == {}
    assert said["operations"] > 5
    assert said["resumed"] == (said["operations"] if resume else 0)


def test_a_server_that_cannot_prove_itself_is_a_failure_of_tls(generator, credentials, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "roots")
    files = [f"--cert={credentials}/cert", f"--key={credentials}/key", f"--roots={tmp_path}/roots"]
    with serving(answer_over_tls(credentials)) as port:
        options = ("--tls", "--verify", "--sni", "web.example", *files)
        said = drive(generator, "echo", port, *options)
    assert said["failures"] == {"tls": 1}


def end_early(connection):
    connection.recv(65536)
    connection.sendall(b"\0\1\2")


def answer_wrongly(connection):
    connection.recv(65536)
    connection.sendall(b"\7" * 100)


def reset(connection):
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("serve", "cause"),
    [(end_early, "ended_early"), (answer_wrongly, "wrong_bytes"), (reset, "reset")],
)
def test_a_bad_answer_is_told_by_its_cause(generator, serve, cause):
    with serving(serve) as port:
        said = drive(generator, "echo", port)
    assert said["failures"] == {cause: 1}
    assert said["total_operations"] == 0


def test_a_connection_without_an_answer_has_stalled(generator):
    def answer_once(connection):
        frame = connection.recv(65536)
        connection.sendall(frame[FRAME_BYTES:])
        while connection.recv(65536):
            pass

    with serving(answer_once) as port:
        said = drive(generator, "echo", port, "--seconds", "1.3")
    assert said["failures"] == {"stalled": 1}
    assert said["total_operations"] == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "no such mode: nonsense"),
        (["echo"], "--port is missing"),
        (["echo", "--port", "0"], "not a number within bounds: 0"),
        (["echo", "--port", "1", "--tls"], "--tls needs --cert, --key, --roots and --sni"),
        (["echo", "--port", "1", "--resume"], "--resume needs --tls"),
    ],
)
def test_a_bad_command_line_gets_one_clear_error(generator, arguments, complaint):
    done = subprocess.run([generator, *arguments], capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1

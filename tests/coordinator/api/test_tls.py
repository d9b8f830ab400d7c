"""The API over TLS on TCP, asked by real clients."""

import dataclasses
import shutil
import ssl
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest
import structlog
import trio
import trustme

from cluster.errors import ConfigError
from coordinator.api.serve import Tcp, serve
from coordinator.api.tls import ServerTls, TlsFiles
from tests.fakes.api import make_access


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def files(ca, tmp_path):
    """A certificate for 127.0.0.1 in files."""
    issue(ca, tmp_path)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return TlsFiles(cert_file=str(tmp_path / "cert.pem"), key_file=str(tmp_path / "key.pem"))


def issue(ca, folder):
    leaf = ca.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    for number, pem in enumerate(leaf.cert_chain_pems):
        pem.write_to_path(folder / "cert.pem", append=number > 0)


@pytest.fixture
async def start(services, tmp_path, nursery):
    services = dataclasses.replace(services, access=make_access(services.wanted))

    async def start(files, address="127.0.0.1:0"):
        tcp = Tcp(address=address, tls=files, loopback_only="")
        return await nursery.start(partial(serve, services, unix_path=tmp_path / "a.sock", tcp=tcp))

    return start


@pytest.fixture
def believing(ca):
    """A client's context that believes our CA."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def leader(url, context):
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        return (await client.get(f"{url}/v1/status/leader")).status_code


async def test_it_is_served_over_tls_and_nothing_else(start, files, believing):
    bound = await start(files)
    assert bound.http.startswith("https://127.0.0.1:")
    assert await leader(bound.http, believing) == 200
    with pytest.raises(httpx.ConnectError):
        await leader(bound.http, ssl.create_default_context())
    with pytest.raises(httpx.RemoteProtocolError):
        await leader(bound.http.replace("https", "http"), believing)
    assert await leader(bound.http, believing) == 200  # nobody's mistake is another's


async def test_old_versions_are_refused(start, files, believing):
    bound = await start(files)
    believing.minimum_version = ssl.TLSVersion.TLSv1_2
    believing.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await leader(bound.http, believing) == 200
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        believing.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        believing.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        await leader(bound.http, believing)


async def test_beyond_loopback(start, files, believing):
    bound = await start(files, "0.0.0.0:0")
    url = bound.http.replace("0.0.0.0", "127.0.0.1")
    assert await leader(url, believing) == 200


async def test_with_a_ca_every_client_shows_a_certificate(start, files, believing, ca, tmp_path):
    bound = await start(dataclasses.replace(files, ca_file=str(tmp_path / "ca.pem")))
    with pytest.raises(httpx.HTTPError):
        await leader(bound.http, believing)
    stranger = ssl.create_default_context()
    ca.configure_trust(stranger)
    trustme.CA().issue_cert("evil").configure_cert(stranger)
    with pytest.raises(httpx.HTTPError):
        await leader(bound.http, stranger)
    ca.issue_cert("client").configure_cert(believing)
    assert await leader(bound.http, believing) == 200


async def test_files_that_change_are_read_again(start, files, ca, tmp_path):
    bound = await start(files)
    other = trustme.CA()
    issue(other, tmp_path)
    context = ssl.create_default_context()
    other.configure_trust(context)
    assert await leader(bound.http, context) == 200
    (tmp_path / "key.pem").write_text("half a")
    assert await leader(bound.http, context) == 200
    issue(ca, tmp_path)
    with pytest.raises(httpx.ConnectError):
        await leader(bound.http, context)


@pytest.mark.parametrize(("name", "text"), [("cert.pem", ""), ("key.pem", "x"), ("cert.pem", None)])
def test_what_cannot_be_used_is_named(files, tmp_path, name, text):
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=f"http_tls: {files.cert_file}"):
        ServerTls(files)


def test_the_log_tells_that_a_certificate_ends_and_that_it_has_ended(ca, files, tmp_path):
    leaf = ca.issue_cert("127.0.0.1", not_after=datetime.fromtimestamp(2e9, UTC))
    (tmp_path / "cert.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    day, clock = 86400.0, [2e9 - 30 * 86400.0]
    told = []
    with structlog.testing.capture_logs() as logs:
        made = ServerTls(files, lambda: clock[0])
        for days in (-30, -13, -12, 0, 1):
            clock[0] = 2e9 + days * day
            made._current()
            told.append(len(logs))
    assert told == [0, 1, 1, 2, 2]
    assert [line["event"].rpartition(" ")[2] for line in logs] == ["soon", "expired"]
    assert logs[0]["not_after"].startswith("2033-05-18")


def test_an_encrypted_key_asks_nobody(files, tmp_path):
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(ConfigError, match="encrypted"):
        ServerTls(files)


async def test_curl_speaks_to_it(start, files, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("Debian package curl")
    bound = await start(files)
    command = ["curl", "-sS", "--fail", "--cacert", str(tmp_path / "ca.pem"), "--tlsv1.3"]
    done = await trio.run_process([*command, f"{bound.http}/v1/status/leader"], capture_stdout=True)
    assert done.stdout == b'"10.0.0.5:7400"'

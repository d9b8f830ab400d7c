"""What the program shows to a coordinator: a token from wherever it was given, and whom it believes."""

import dataclasses
from functools import partial

import pytest
import trustme

from coordinator.api.serve import Tcp, serve
from coordinator.api.tls import TlsFiles
from tests.coordinator.cli.conftest import run_lockgate
from tests.fakes.api import make_access

SECRET = "6a1253d2-1785-24fd-91c2-f8e78c745511"


@pytest.fixture
async def served(services, tmp_path, nursery):
    """A coordinator over TLS whose one token is SECRET; its address and its CA's file."""
    ca = trustme.CA()
    leaf = ca.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = TlsFiles(cert_file=str(tmp_path / "cert.pem"), key_file=str(tmp_path / "key.pem"))
    serving = dataclasses.replace(services, access=make_access(services.wanted))
    bound = await nursery.start(
        partial(
            serve,
            serving,
            unix_path=tmp_path / "a.sock",
            tcp=Tcp(address="127.0.0.1:0", tls=files),
        )
    )
    made = await run_lockgate("acl", "bootstrap", "-secret", SECRET, address=bound.unix)
    assert made.status == 0, made
    return bound.http, str(tmp_path / "ca.pem")


async def test_a_token_and_a_ca_may_come_from_anywhere(served, file):
    address, ca_file = served
    token = file("token", f"{SECRET}\n")
    ways = [
        (["-token", SECRET, "-ca-file", ca_file], {}),
        (["--token-file", token, "--ca-file", ca_file], {}),
        ([], {"LOCKGATE_HTTP_TOKEN": SECRET, "LOCKGATE_CACERT": ca_file}),
        ([], {"CONSUL_HTTP_TOKEN": SECRET, "CONSUL_CACERT": ca_file}),
        ([], {"CONSUL_HTTP_TOKEN_FILE": str(token), "CONSUL_CACERT": ca_file}),
    ]
    for options, env in ways:
        ended = await run_lockgate("nodes", "list", *options, address=address, env=env)
        assert (ended.status, ended.err) == (0, ""), ended


async def test_without_them_it_says_what_is_wrong(served, file):
    address, ca_file = served
    ended = await run_lockgate("nodes", "list", "-token", SECRET, address=address)
    assert (ended.status, "certificate verify failed" in ended.err) == (1, True)
    ended = await run_lockgate("nodes", "list", "-ca-file", ca_file, address=address)
    assert (ended.status, "anonymous token lacks permission" in ended.err) == (1, True)
    for option in ("-token-file", "-ca-file", "-client-cert"):
        ended = await run_lockgate("nodes", "list", option, "/no/file", address=address)
        assert (ended.status, "/no/file: No such file" in ended.err) == (1, True)
        assert SECRET not in ended.err

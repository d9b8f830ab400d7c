"""The ClientHello parser: real hellos, every cut, and nothing but its three answers for any input."""

import itertools
import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from cluster.reasons import HelloReject
from worker.tls.clienthello import BadHello, ClientHello, Limits, NeedMore, parse

NAME = "web.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul"
GREASE_VERSION = 0x1A1A


# ---------------------------------------------------------------- building hellos


def vector(width, content):
    return len(content).to_bytes(width, "big") + content


def extension(kind, content):
    return struct.pack("!H", kind) + vector(2, content)


def sni(*names, kind=0):
    return extension(0, vector(2, b"".join(bytes((kind,)) + vector(2, name) for name in names)))


def alpn(*protocols):
    return extension(16, vector(2, b"".join(vector(1, name) for name in protocols)))


def versions(*codes):
    return extension(43, vector(1, b"".join(struct.pack("!H", code) for code in codes)))


def body(
    *extensions, legacy=0x0303, session_id=b"", suites=b"\x13\x01", compression=b"\0", block=None
):
    if block is None:
        block = vector(2, b"".join(extensions)) if extensions else b""
    return (
        struct.pack("!H", legacy)
        + bytes(32)
        + vector(1, session_id)
        + vector(2, suites)
        + vector(1, compression)
        + block
    )


def message(content, kind=1):
    return bytes((kind,)) + len(content).to_bytes(3, "big") + content


def records(whole, *cuts):
    """`whole` in records that end at `cuts`."""
    edges = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)


def hello(*extensions, **parts):
    return records(message(body(*extensions, **parts)))


SMALL = hello(sni(b"a.b"), alpn(b"h2", b"http/1.1"), versions(GREASE_VERSION, 0x0304, 0x0303))


def from_pyopenssl(*, highest=SSL.TLS1_3_VERSION, name=NAME):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(highest)
    context.set_alpn_protos([b"h2", b"http/1.1"])
    connection = SSL.Connection(context)
    connection.set_connect_state()
    if name:
        connection.set_tlsext_host_name(name.encode())
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(65536)


def from_stdlib(name=NAME):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def refused(data, limits=None):
    with pytest.raises(BadHello) as caught:
        parse(data, limits) if limits else parse(data)
    assert caught.value.detail
    return caught.value.reject


# ---------------------------------------------------------------- real hellos


def test_tls13_hello_with_a_post_quantum_share():
    data = from_pyopenssl()
    assert len(data) > 1400  # two segments: the X25519MLKEM768 share alone has 1,216 bytes
    assert parse(data) == ClientHello(
        server_name=NAME,
        alpn=(b"h2", b"http/1.1"),
        versions=(0x0304, 0x0303),
        length=len(data),
    )


def test_tls12_hello_tells_its_legacy_version():
    found = parse(from_pyopenssl(highest=SSL.TLS1_2_VERSION))
    assert isinstance(found, ClientHello)
    assert found.versions == (0x0303,)
    assert found.server_name == NAME


def test_hello_of_the_standard_library():
    data = from_stdlib()
    found = parse(data)
    assert isinstance(found, ClientHello)
    assert (found.server_name, found.alpn, found.length) == (NAME, (), len(data))


@pytest.mark.parametrize("data", [from_pyopenssl(name=""), hello(versions(0x0304)), hello()])
def test_no_name_is_an_empty_name(data):
    found = parse(data)
    assert isinstance(found, ClientHello)
    assert found.server_name == ""


def test_the_name_is_lower_cased():
    found = parse(hello(sni(b"WEB.Default_1.dc-1")))
    assert isinstance(found, ClientHello)
    assert found.server_name == "web.default_1.dc-1"


@pytest.mark.parametrize("address", [b"10.0.0.1", b"::1", b"2001:db8::a"])
def test_an_address_is_no_name(address):
    found = parse(hello(sni(address)))
    assert isinstance(found, ClientHello)
    assert found.server_name == ""


def test_a_name_that_ends_in_a_digit_is_a_name():
    found = parse(hello(sni(b"web.dc1")))
    assert isinstance(found, ClientHello)
    assert found.server_name == "web.dc1"


def test_a_name_of_255_bytes_is_the_longest():
    longest = ".".join(["a" * 63] * 4).encode()
    assert len(longest) == 255
    found = parse(hello(sni(longest)))
    assert isinstance(found, ClientHello)
    assert found.server_name == longest.decode()
    assert refused(hello(sni(longest + b"b"))) is HelloReject.MALFORMED


# ---------------------------------------------------------------- every cut


@pytest.mark.parametrize(
    "data", [SMALL, from_pyopenssl(), from_stdlib(), records(SMALL[5:], 1, 3, 4, 9)]
)
def test_every_prefix_asks_for_more_and_never_for_too_much(data):
    whole = parse(data)
    assert isinstance(whole, ClientHello)
    for size in range(len(data)):
        answer = parse(data[:size])
        assert isinstance(answer, NeedMore), size
        assert size < answer.total <= len(data), size


def test_every_cut_into_two_records_gives_the_same_hello():
    inner = SMALL[5:]
    expected = parse(SMALL)
    assert isinstance(expected, ClientHello)
    for cut in range(1, len(inner)):
        found = parse(records(inner, cut))
        assert isinstance(found, ClientHello)
        assert found.length == len(SMALL) + 5
        assert (found.server_name, found.alpn) == (expected.server_name, expected.alpn)


@given(cuts=st.sets(st.integers(1, len(SMALL) - 6), max_size=15))
def test_any_cut_into_up_to_16_records_gives_the_same_hello(cuts):
    data = records(SMALL[5:], *sorted(cuts))
    found = parse(data)
    assert isinstance(found, ClientHello)
    assert found.server_name == "a.b"
    assert found.length == len(data)
    assert all(isinstance(parse(data[:size]), NeedMore) for size in range(len(data)))


def looks(data):
    """How often somebody looks who gets byte after byte and waits for what he is told to wait for."""
    count, total = 0, 1
    for size in range(1, len(data) + 1):
        if size >= total:
            count += 1
            answer = parse(data[:size])
            if isinstance(answer, ClientHello):
                assert size == len(data)
                return count
            total = answer.total
    raise AssertionError("never whole")


def test_a_drip_of_bytes_is_looked_at_a_few_times_only():
    assert looks(SMALL) <= 5
    assert looks(from_pyopenssl()) <= 5
    assert looks(records(SMALL[5:], *range(5, 65, 5))) <= 2 * 13 + 2


def test_a_large_hello_over_three_full_records():
    inner = message(body(sni(b"a.b"), extension(21, bytes(32_500))))
    data = records(inner, 16384, 2 * 16384 - 300)
    for size in (9, 16389):
        answer = parse(data[:size])
        assert isinstance(answer, NeedMore)
        assert answer.total == len(inner) + 2 * 5  # the least: it cannot know of the third record
    assert parse(data) == ClientHello(server_name="a.b", versions=(0x0303,), length=len(data))


def test_bytes_behind_the_hello_are_left_alone():
    assert parse(SMALL + b"\x14\x03\x03\0\1\1\x17junk") == parse(SMALL)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"G",
        b"\0",
        b"\x80\x2e\x01\x03\x01",  # an SSLv2-framed hello
        b"\x15\x03\x01\0\2\2\x28",  # an alert
        b"\x17\x03\x03",  # application data
        b"\x16\x02",
        b"\x16G",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",  # PostgreSQL asking for TLS
    ],
)
def test_other_protocols_are_told_apart_by_their_first_bytes(data):
    assert refused(data) is HelloReject.NOT_TLS


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\0\0",  # empty record
        b"\x16\x03\x01\x40\x01",  # a record over 2^14
        records(message(body(), kind=2)),
        records(message(body()) + b"\0"),
        records(message(body()[:-1])),
        hello(legacy=0x0203),
        hello(session_id=bytes(33)),
        hello(suites=b""),
        hello(suites=b"\x13\x01\x13"),
        hello(compression=b""),
        hello(block=vector(2, b"") + b"x"),
        hello(block=b"\0"),
        hello(block=b"\0\5\0\0"),
        hello(sni(b"a.b"), sni(b"a.b")),
        hello(versions(0x0304), versions(0x0304)),
        hello(extension(99, b""), extension(99, b"")),
        hello(sni(b"a.b", b"c.d")),
        hello(sni(b"a.b", kind=1)),
        hello(sni()),
        hello(sni(b"")),
        hello(sni(b"a.b.")),
        hello(sni(b"a b")),
        hello(sni(b"a\0.b")),
        hello(sni(b"a.b\n")),
        hello(sni("ä.b".encode())),
        hello(sni(b"*.b")),
        hello(sni(b"[::1]")),
        hello(sni(b"\xff1")),
        hello(extension(0, b"")),
        hello(extension(0, vector(2, b"\0\0\3a.b") + b"x")),
        hello(extension(0, vector(2, b"\0\0\4a.b"))),
        hello(alpn(b"")),
        hello(alpn()),
        hello(extension(16, b"\0\5\2h2")),
        hello(versions()),
        hello(extension(43, b"\3\3\4\3")),
        records(SMALL[5:], 20)[:25] + b"\x17\x03\x03\0\x01\0",
        records(SMALL[5:], 20)[:25] + b"\x16\x04",
    ],
)
def test_broken_hellos_are_malformed(data):
    assert refused(data) is HelloReject.MALFORMED


def test_too_large_is_known_from_the_header():
    assert refused(b"\x16\x03\x01\x02\x00\x01\x00\x80\x00") is HelloReject.TOO_LARGE
    assert refused(SMALL[:9], Limits(max_hello_bytes=60)) is HelloReject.TOO_LARGE
    exactly = len(SMALL) - 5
    assert isinstance(parse(SMALL, Limits(max_hello_bytes=exactly)), ClientHello)


def test_the_17th_record_is_one_too_many():
    data = records(SMALL[5:], *range(1, 17))
    assert refused(data) is HelloReject.TOO_MANY_RECORDS
    assert isinstance(parse(data, Limits(max_records=17)), ClientHello)


def test_no_answer_asks_for_more_than_the_limits_allow():
    for data in (b"\x16\x03\x01\x40\x00", b"\x16\x03\x01\x40\x00\x01\x00\x7f\xfc"):
        answer = parse(data)
        assert isinstance(answer, NeedMore)
        assert answer.total <= Limits().max_bytes


# ---------------------------------------------------------------- any input


def verdict(data):
    """The answer as a value; any other exception than BadHello gets out and fails the test."""
    try:
        return parse(data)
    except BadHello as bad:
        return bad.reject


def check_any(data):
    """One of three answers, the same one byte by byte, and a refusal never taken back."""
    final = verdict(data)
    for size in range(len(data)):
        early = verdict(data[:size])
        if isinstance(early, NeedMore):
            assert early.total > size
        elif isinstance(early, ClientHello):
            assert early == final
        else:
            assert early is final


@given(st.binary(max_size=200))
def test_any_bytes(data):
    check_any(data)


@given(st.binary(max_size=120))
def test_any_message(data):
    if data:
        check_any(records(message(data)))
        check_any(records(data))


SEEDS = [SMALL, from_stdlib(), records(SMALL[5:], 3, 40)]


@settings(max_examples=300)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_any_mutation_of_a_real_hello(seed, edits):
    data = bytearray(seed)
    for at, value in edits:
        data[at % len(data)] = value
    check_any(bytes(data))


@given(seed=st.sampled_from(SEEDS), at=st.integers(0, 400), junk=st.binary(max_size=8))
def test_any_insertion_and_deletion(seed, at, junk):
    check_any(seed[:at] + junk + seed[at + len(junk) // 2 :])

"""What is run, in which order, with which arguments."""

from tests.bench.campaign import parts, runs_of
from tests.bench.placement import split
from tests.bench.rows import ROWS
from tests.bench.runs import CONNECT, DOWN, IDLE, PUT_LARGE, RESUME, Credentials, Way, arguments

TLS = Way(port=2, server_name="b", credentials=Credentials(certificate="c", key="k", roots="r"))


def test_each_run_is_made_once_although_several_rows_want_it():
    wanted = runs_of(ROWS, many=False)
    assert len(set(wanted)) == len(wanted)
    assert ("passthrough", DOWN) in wanted


def test_idle_connections_come_first_after_a_start_of_their_own():
    found = parts(ROWS)
    starts = [wanted[0] for many, wanted in found if not many]
    assert starts == [("passthrough", IDLE), ("tls", IDLE)]
    assert [many for many, _ in found] == [False, False, True]


def test_what_no_row_wants_is_not_started():
    (row,) = (row for row in ROWS if row.key == "passthrough.connections")
    assert parts([row]) == ((False, (("passthrough", CONNECT),)),)


def test_arguments_of_the_generator():
    plain = arguments(CONNECT, Way(port=1, server_name="a"), seconds=2, reset=True)
    assert " ".join(plain) == "connect --port 1 --connections 64 --seconds 2 --sni a --reset"
    tls = " ".join(arguments(RESUME, TLS, seconds=0.5, verify=True))
    assert tls.endswith("--sni b --tls --cert c --key k --roots r --resume --verify")
    assert "--reset" not in arguments(DOWN, TLS, seconds=1, reset=True)
    http = " ".join(arguments(PUT_LARGE, Way(port=1, host="a.example"), seconds=1))
    assert http == "put --port 1 --connections 8 --seconds 1 --bytes 1048576 --host a.example"


def test_one_core_is_the_subject_s_and_the_others_are_the_load_s():
    assert split({0, 1, 2}, shared=False).subject == {2}
    assert split({0, 1, 2}, shared=False).load == {0, 1}
    assert split({0, 1}, shared=True).load == split({0, 1}, shared=True).subject == {0, 1}
    assert split({5}, shared=False).load == split({5}, shared=False).subject == {5}

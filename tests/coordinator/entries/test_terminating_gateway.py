"""The kind terminating-gateway (consul-gateways.md 4.2)."""

import itertools

import pytest

from coordinator.entries.entry import check_entry


def check(*services):
    return check_entry({"Kind": "terminating-gateway", "Name": "egress", "Services": [*services]})


def test_all_fields():
    service = {
        "Name": "billing",
        "CAFile": "/ca",
        "CertFile": "/crt",
        "KeyFile": "/key",
        "SNI": "billing.example",
        "DisableAutoHostRewrite": True,
    }
    checked, problems, warnings = check(service, {"Name": "*"})
    assert problems == ()
    assert warnings == ()
    assert checked.body["Services"] == [service, {"Name": "*"}]


@pytest.mark.parametrize("services", [[], None])
def test_no_services_is_legal(services):
    entry = {"Kind": "terminating-gateway", "Name": "egress", "Services": services}
    assert check_entry(entry)[0].body == {"Kind": "terminating-gateway", "Name": "egress"}


FILES = ("CAFile", "CertFile", "KeyFile")


@pytest.mark.parametrize(
    "given", [set(some) for n in range(4) for some in itertools.combinations(FILES, n)]
)
def test_which_files_go_together(given):
    _, problems, _ = check({"Name": "a"}, {"Name": "b"} | dict.fromkeys(given, "/x"))
    if given in (set(), {"CAFile"}, set(FILES)):
        assert problems == ()
    else:
        missing = [name for name in FILES if name not in given]
        [problem] = problems
        assert problem.path == f"Services[1].{missing[0]}"
        assert problem.message.endswith(f"missing: {', '.join(missing)}")


def test_names():
    _, problems, _ = check({"Name": "a"}, {}, {"Name": "a"}, {"Name": "b", "Namespace": "*"})
    assert [str(problem) for problem in problems] == [
        "Services[3].Namespace: namespace '*': namespaces are a Consul Enterprise feature",
        "Services[1].Name: the service name cannot be blank",
        "Services[2].Name: service a is linked more than once, first as Services[0]",
    ]


def test_tls_without_sni_is_a_warning():
    checked, _, warnings = check({"Name": "a", "CAFile": "/ca"}, {"Name": "b"})
    assert checked is not None
    assert [str(warning) for warning in warnings] == [
        "Services[0].SNI: TLS is set for a without SNI"
    ]

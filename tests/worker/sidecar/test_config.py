import pytest

from cluster.errors import ConfigError
from worker.sidecar.config import DEFAULT_API, Place, Upstream, parse_arguments

WEB = ["-service", "web"]


@pytest.mark.parametrize(
    ("text", "service", "place"),
    [
        ("billing:9191", "billing", Place("127.0.0.1", 9191)),
        ("billing:0", "billing", Place("127.0.0.1", 0)),
        ("billing:10.0.0.1:9191", "billing", Place("10.0.0.1", 9191)),
        ("billing:[::1]:9191", "billing", Place("::1", 9191)),
        ("billing:localhost:65535", "billing", Place("localhost", 65535)),
    ],
)
def test_upstreams(text, service, place):
    config = parse_arguments([*WEB, "-upstream", text])
    assert config.upstreams == (Upstream(service=service, listen=place),)


def test_everything_has_a_default_but_what_to_do():
    config = parse_arguments([*WEB, "-upstream", "billing:1"])
    assert (config.service, config.api, config.listen) == ("web", DEFAULT_API, None)


def test_the_inbound_side():
    config = parse_arguments([*WEB, "-service-addr", "127.0.0.1:8080", "-listen", "[::]:20000"])
    assert config.service_address == Place("127.0.0.1", 8080)
    assert config.listen == Place("::", 20000)


def test_one_dash_or_two_and_several_upstreams():
    config = parse_arguments(
        ["--service=web", "--upstream", "a:1", "-upstream", "b:2", "--mesh-gateway", "mgw"]
    )
    assert [upstream.service for upstream in config.upstreams] == ["a", "b"]
    assert config.mesh_gateway == "mgw"


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:8500", "http://127.0.0.1:8500"),
        ("localhost:8500", "http://localhost:8500"),
        ("http://[::1]:8500", "http://[::1]:8500"),
        ("https://coordinator:8501", "https://coordinator:8501"),
        ("unix:///run/admin.sock", "unix:///run/admin.sock"),
    ],
)
def test_the_api_is_where_any_client_of_consul_may_say(given, address):
    assert parse_arguments([*WEB, "-upstream", "a:1", "-http-addr", given]).api == address


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to do"),
        (["-service-addr", "127.0.0.1:80"], "go together"),
        (["-listen", "127.0.0.1:80"], "go together"),
        (["-upstream", "billing"], "'billing' is not SERVICE"),
        (["-upstream", ":9191"], "names no service"),
        (["-upstream", "billing:http"], "is not SERVICE"),
        (["-upstream", "billing:70000"], "is not SERVICE"),
        (["-upstream", "billing:-1"], "is not SERVICE"),
        (["-upstream", "billing:²"], "is not SERVICE"),
        (["-upstream", "billing:" + "9" * 5000], "is not SERVICE"),
        (["-upstream", "a:1", "-metrics-addr", "9464"], "-metrics-addr"),
        (["-upstream", "a:1", "-service", ""], "-service: is empty"),
        (["-upstream", "a:1", "-http-addr", ""], "'' is neither"),
        (["-upstream", "a:1", "-http-addr", "ftp://x"], "'ftp://x' is neither"),
        (["-upstream", "a:1", "-http-addr", "unix://x.sock"], "is neither unix:///path nor"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        parse_arguments([*WEB, *arguments])

"""Bodies are read as Go's JSON decoder reads them."""

import json

import pytest

REGISTER = "/v1/catalog/register"
AGENT = "/v1/agent/service/register"
NODE = '"Node": "n1", "Address": "10.0.0.1"'


def registration(service):
    return f'{{{NODE}, "Service": {{"Service": "db", {service}}}}}'


@pytest.fixture
def send(api):
    async def send(path, text):
        return await api.put(path, content=text)

    return send


@pytest.fixture
def service(send, get):
    """Register a service as it is written; what the catalog then holds."""

    async def service(text):
        response = await send(REGISTER, registration(text))
        assert response.status_code == 200, response.text
        return (await get("/v1/catalog/node/n1"))["Services"]["db"]

    return service


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ('"port": 5432', "Port", 5432),
        ('"PORT": 5432', "Port", 5432),
        ('"Port": 1, "Port": 5432', "Port", 5432),
        ('"Port": 1, "port": 5432', "Port", 5432),
        ('"Port": 5432, "port": null', "Port", 5432),
        ('"tagſ": ["a"]', "Tags", ["a"]),
        ('"Tags": null', "Tags", []),
        ('"Port": 5432, "NoSuchField": {"a": [1]}', "Port", 5432),
        ('"Meta": {"Key": "1", "key": "2"}', "Meta", {"Key": "1", "key": "2"}),
    ],
)
async def test_keys(service, text, field, value):
    assert (await service(text))[field] == value


@pytest.mark.parametrize(
    "text",
    [
        '"Port": "5432"',
        '"Port": 5432.5',
        '"Port": true',
        '"Port": 1e400',
        '"Tags": "a"',
        '"Tags": [1]',
        '"Meta": {"a": 1}',
        '"EnableTagOverride": "true"',
        '"EnableTagOverride": 1',
        '"Address": 10',
        '"Weights": [{"Passing": 1}]',
        '"Weights": 1',
        '"addreß": 1, "Port": "x"',
    ],
)
async def test_a_value_of_another_type_is_refused(send, text):
    response = await send(REGISTER, registration(text))
    assert response.status_code == 400, response.text
    assert "\n" not in response.text.strip()


async def test_sharp_s_is_no_double_s(service):
    assert (await service('"addreß": "10.9.9.9"'))["Address"] == ""


@pytest.mark.parametrize("interval", ['"10s"', "10000000000"])
async def test_durations_are_strings_or_nanoseconds(send, get, interval):
    check = f'{{"Name": "up", "TCP": "127.0.0.1:1", "Interval": {interval}}}'
    response = await send(AGENT, f'{{"Name": "db", "Port": 1, "Check": {check}}}')
    assert response.status_code == 200, response.text
    (found,) = (await get("/v1/agent/checks")).values()
    assert json.dumps(found).count('"10s"') >= 1


@pytest.mark.parametrize("kind", ["service-defaults", "service-resolver"])
async def test_entries_are_read_weakly_but_know_their_fields(send, kind):
    field = (
        '"MaxInboundConnections": "7"' if kind == "service-defaults" else '"ConnectTimeout": 1000'
    )
    entry = f'{{"kind": "{kind}", "name": "db", {field}'
    assert (await send("/v1/config", entry + "}")).status_code == 200
    refused = await send("/v1/config", entry + ', "NoSuchField": 1}')
    assert (refused.status_code, "NoSuchField" in refused.text) == (400, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '"x"',
        "3",
        "true",
        "null",
        '{"Node": }',
        "{'Node': 1}",
        "\ufeff{",
        "[" * 100_000,
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        REGISTER,
        AGENT,
        "/v1/config",
        "/v1/catalog/deregister",
        "/v1/agent/check/update/x",
        "/v1/connect/intentions/exact?source=a&destination=b",
        "/v1/lockgate/nodes/n1",
    ],
)
async def test_what_is_no_object_is_one_sentence(send, path, text):
    response = await send(path, text.encode())
    assert response.status_code == 400
    assert response.text.startswith("Request decode failed: ")
    assert len(response.text) < 300


async def test_bytes_that_are_no_text(send):
    response = await send(REGISTER, b'{"Node": "\xff"}')
    assert (response.status_code, response.text.startswith("Request decode failed")) == (400, True)

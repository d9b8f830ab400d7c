"""Endpoints that cannot be bound or connected to are named, with the reason."""

import socket

import pytest
import trio

from cluster.bus import EndpointError, connect, serve


async def test_port_zero_becomes_the_port_really_bound():
    async with serve("tcp://127.0.0.1:0") as bus:
        host, _, port = bus.endpoint.rpartition(":")
        assert host == "tcp://127.0.0.1"
        with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
            pass


async def test_a_bus_listens_on_ipv6():
    if not socket.has_ipv6:
        pytest.skip("this kernel has no IPv6")
    with trio.fail_after(30):
        async with serve("tcp://[::1]:0") as bus, connect(bus.endpoint) as client:
            assert bus.endpoint.startswith("tcp://[::1]:")
            await client.send(b"over six")
            assert (await bus.incoming.receive()).body == b"over six"


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_an_endpoint_in_use_is_named_and_its_server_goes_on(transport, tmp_path):
    endpoint = "tcp://127.0.0.1:0" if transport == "tcp" else f"ipc://{tmp_path}/bus"
    with trio.fail_after(30):
        async with serve(endpoint) as bus, connect(bus.endpoint) as client:
            with pytest.raises(EndpointError, match="in use by another process") as error:
                async with serve(bus.endpoint):
                    pass
            assert error.value.endpoint == bus.endpoint
            assert bus.endpoint in str(error.value)
            await client.send(b"still here?")
            assert (await bus.incoming.receive()).body == b"still here?"


async def test_a_socket_file_left_behind_is_no_obstacle(tmp_path):
    path = str(tmp_path / "bus")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    async with serve(f"ipc://{path}") as bus:
        assert bus.endpoint == f"ipc://{path}"


async def test_a_file_that_is_not_a_socket_is_left_alone(tmp_path):
    path = tmp_path / "bus"
    path.write_text("precious")
    with pytest.raises(EndpointError, match="not a socket"):
        async with serve(f"ipc://{path}"):
            pass
    assert path.read_text() == "precious"


@pytest.mark.parametrize("open_bus", [serve, connect])
async def test_a_path_that_is_too_long_is_told_with_its_length(open_bus, tmp_path):
    endpoint = "ipc:///tmp/" + "é" * 60
    with pytest.raises(EndpointError, match=r"the path has 125 bytes.*at most 107") as error:
        async with open_bus(endpoint):
            pass
    assert error.value.endpoint == endpoint


async def test_a_path_of_exactly_the_length_allowed_works(tmp_path):
    path = str(tmp_path) + "/"
    path += "x" * (107 - len(path))
    with trio.fail_after(30):
        async with serve(f"ipc://{path}") as bus, connect(bus.endpoint) as client:
            await client.send(b"just fits")
            assert (await bus.incoming.receive()).body == b"just fits"


@pytest.mark.parametrize("open_bus", [serve, connect])
@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:7400", "tcp://127.0.0.1", "smoke://signal"])
async def test_what_is_not_an_endpoint_is_named(open_bus, endpoint):
    with pytest.raises(EndpointError) as error:
        async with open_bus(endpoint):
            pass
    assert error.value.endpoint == endpoint


async def test_an_address_of_another_machine_cannot_be_served():
    with pytest.raises(EndpointError, match=r"tcp://192\.0\.2\.1:7400: "):
        async with serve("tcp://192.0.2.1:7400"):
            pass

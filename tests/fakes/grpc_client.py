"""A program: a client of gRPC by `grpcio` that makes calls of all four kinds and prints what came, as JSON.

Arguments: where to connect, the host to ask for, and the names of calls.
"""

import json
import os
import queue
import sys

import grpc

SECONDS = 20


def unary(channel):
    call = channel.unary_unary("/echo.Echo/Unary")
    answer, done = call.with_call(b"hello", timeout=SECONDS)
    return answer.decode(), dict(done.trailing_metadata()).get("x-sum")


def large(channel):
    sent = bytes(range(256)) * 12_000
    answer = channel.unary_unary("/echo.Echo/Unary")(sent, timeout=SECONDS)
    return answer == b"<" + sent + b">"


def down(channel):
    found = channel.unary_stream("/echo.Echo/Down")(b"200", timeout=SECONDS)
    return sum(map(len, found))


def up(channel):
    pieces = (b"x" * 5000 for _ in range(200))
    return channel.stream_unary("/echo.Echo/Up")(pieces, timeout=SECONDS).decode()


def both(channel):
    """Each message waits for the answer to the one before it."""
    said = queue.Queue()
    answers = channel.stream_stream("/echo.Echo/Both")(iter(said.get, None), timeout=SECONDS)
    found = []
    try:
        for number in range(20):
            said.put(b"%d" % number)
            found.append(next(answers).decode())
    finally:
        said.put(None)  # a thread of grpcio's waits for it
    return [*found, *[more.decode() for more in answers]]


def fails(channel):
    return channel.unary_unary("/echo.Echo/Fails")(b"", timeout=SECONDS).decode()


CALLS = {made.__name__: made for made in (unary, large, down, up, both, fails)}


def main(target, host, *names):
    options = (("grpc.default_authority", host), ("grpc.enable_http_proxy", 0))
    found = {}
    with grpc.insecure_channel(target, options=options) as channel:
        for name in names:
            try:
                found[name] = CALLS[name](channel)
            except grpc.RpcError as error:
                found[name] = [error.code().name, error.details()]
    print(json.dumps(found), flush=True)
    os._exit(0)  # threads of grpcio's that are still there can hold up an orderly end for ever


if __name__ == "__main__":
    main(*sys.argv[1:])

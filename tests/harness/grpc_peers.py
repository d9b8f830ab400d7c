"""A gRPC server and a caller, by grpcio: programs of their own, as grpcio's threads outlive a test's loop.

Messages are plain bytes. `python -m tests.harness.grpc_peers serve PORT` and `… call PORT AUTHORITY`, which
prints what came of each kind of call as one JSON object.
"""

import json
import sys
from concurrent import futures

import grpc

SERVICE = "shop.Orders"
_KINDS = ("one", "down", "up", "both")


class Orders(grpc.GenericRpcHandler):
    """One method for each kind of call; `fail` and `slow` are how they go wrong."""

    def service(self, details):
        methods = {
            f"/{SERVICE}/one": grpc.unary_unary_rpc_method_handler(one),
            f"/{SERVICE}/down": grpc.unary_stream_rpc_method_handler(down),
            f"/{SERVICE}/up": grpc.stream_unary_rpc_method_handler(up),
            f"/{SERVICE}/both": grpc.stream_stream_rpc_method_handler(both),
            f"/{SERVICE}/fail": grpc.unary_unary_rpc_method_handler(fail),
        }
        return methods.get(details.method)


def one(request, context):
    said = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-head", said.get("x-said", "")),))
    context.set_trailing_metadata((("x-tail", "end"), ("x-bin", b"\x00\xff")))
    return request.upper()


def down(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def up(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def both(requests, context):
    for request in requests:
        yield request[::-1]


def fail(request, context):
    context.set_trailing_metadata((("x-why", "closed"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the shop is closed: ü")


def serve(port):
    """Until the process is ended."""
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(Orders(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def call(port, authority):
    """Each kind of call once, and one that fails."""
    options = (("grpc.default_authority", authority),)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        found = {
            "one": _one(channel),
            "down": [m.decode() for m in channel.unary_stream(_path("down"))(b"5", timeout=20)],
            "up": channel.stream_unary(_path("up"))(
                iter([b"x" * 40_000] * 50), timeout=20
            ).decode(),
            "both": _both(channel),
            "fail": _fault(channel, "fail"),
            "none": _fault(channel, "none"),
        }
    print(json.dumps(found))


def _path(method):
    return f"/{SERVICE}/{method}"


def _one(channel):
    method = channel.unary_unary(_path("one"))
    answer, made = method.with_call(b"hello", timeout=20, metadata=(("x-said", "mine"),))
    head, tail = dict(made.initial_metadata()), dict(made.trailing_metadata())
    return [answer.decode(), head["x-head"], tail["x-tail"], list(tail["x-bin"]), made.code().name]


def _both(channel):
    """Each message is sent only when the one before was answered."""
    answers = []
    heard = futures.Future()

    def messages():
        nonlocal heard
        for word in (b"abc", b"def", b"ghi"):
            yield word
            heard.result(20)
            heard = futures.Future()

    for answer in channel.stream_stream(_path("both"))(messages(), timeout=20):
        answers.append(answer.decode())
        heard.set_result(None)
    return answers


def _fault(channel, method):
    try:
        channel.unary_unary(_path(method))(b"", timeout=20)
    except grpc.RpcError as error:
        tail = dict(error.trailing_metadata() or ())
        return [error.code().name, error.details(), tail.get("x-why")]
    return None


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", port]:
            serve(port)
        case ["call", port, authority]:
            call(port, authority)

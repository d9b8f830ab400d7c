"""A program: a server of gRPC by `grpcio`, with all four kinds of calls, until its standard input ends.

It prints its port. Threads and warnings of that library stay in a process of their own.
"""

import sys
from concurrent import futures

import grpc


def unary(request, context):
    context.set_trailing_metadata((("x-sum", str(len(request))),))
    return b"<" + request + b">"


def down(request, context):
    for number in range(int(request)):
        yield b"%d" % number * 1000


def up(requests, context):
    return b"%d" % sum(map(len, requests))


def both(requests, context):
    for request in requests:
        yield b"<" + request + b">"


def fails(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: 100 %")


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Down": grpc.unary_stream_rpc_method_handler(down),
    "Up": grpc.stream_unary_rpc_method_handler(up),
    "Both": grpc.stream_stream_rpc_method_handler(both),
    "Fails": grpc.unary_unary_rpc_method_handler(fails),
}


def main():
    server = grpc.server(futures.ThreadPoolExecutor(4))
    handler = grpc.method_handlers_generic_handler("echo.Echo", HANDLERS)
    server.add_generic_rpc_handlers((handler,))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(0).wait()


if __name__ == "__main__":
    main()

"""A program of the mesh that others' servers run: `python -m hypercorn -k trio tests.harness.asgi:app`.

`/headers` tells what came, `/echo` gives the body back as it comes, `/cookies` sets several, `/ws` echoes
messages until somebody says `bye`.
"""

import json


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await _live(receive, send)
    if scope["type"] == "websocket":
        return await _converse(scope, receive, send)
    if scope["path"] == "/echo":
        return await _echo(receive, send)
    if scope["path"] == "/cookies":
        cookies = [(b"set-cookie", b"c%d=%s; Path=/" % (n, b"v" * 300)) for n in range(12)]
        return await _answer(send, b"", cookies)
    told = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": [(name.decode(), value.decode()) for name, value in scope["headers"]],
    }
    await _answer(send, json.dumps(told).encode(), [(b"content-type", b"application/json")])


async def _live(receive, send):
    while True:
        said = (await receive())["type"]
        await send({"type": f"{said}.complete"})
        if said == "lifespan.shutdown":
            return


async def _answer(send, body, headers):
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _echo(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send(
            {"type": "http.response.body", "body": message.get("body", b""), "more_body": more}
        )


async def _converse(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    chosen = scope["subprotocols"][0] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "bye":
            return await send({"type": "websocket.close", "code": 4001})
        await send({"type": "websocket.send", **{k: message.get(k) for k in ("text", "bytes")}})

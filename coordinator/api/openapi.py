"""What is served, as an OpenAPI document: `/v1/lockgate/openapi.json`.

Belongs here: the route table and the words of `reference.toml` put together. Never here: a word about one
endpoint (the table has them), or an endpoint's code. What the route table knows (methods, path, whether a
query may block or be filtered) is taken from there, so that it cannot be said wrongly.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Route

from .endpoint import Call, Do, Endpoint, Read, at
from .needs import anyone

OPENAPI = "3.1.0"
# Errors are text too, but for those of endpoints that tell by their status (`/v1/agent/health`).
_CONTENT = {"application/json": {"schema": {}}, "text/plain": {"schema": {"type": "string"}}}
_ERRORS = {
    "400": "The request cannot be read, or makes no sense.",
    "401": "Access control lists are off.",
    "403": "Permission denied.",
    "404": "It is not there.",
    "405": "This method is not served here.",
    "409": "It does not fit what is there.",
    "413": "The body is too large.",
    "429": "Too many requests of this kind at once.",
    "500": "It is not valid, or it could not be done; the text says why.",
    "501": "Lockgate does not have this; the text says what.",
    "503": "It is not in service.",
}
_COMMON = {
    "pretty": "indent the answer",
    "dc": "the datacenter, which must be this one",
    "ns": "the namespace, of which there is only default",
    "partition": "the partition, of which there is only default",
    "stale": "accepted; every answer is consistent",
    "consistent": "accepted; every answer is consistent",
}
_BLOCKING = {
    "index": "wait until the answer's X-Consul-Index is past this one",
    "wait": "how long to wait at most, such as 10s or 5m: 5m unless said, at most 10m",
}
_FILTER = {"filter": "an expression that rows must match, such as `Service.Port == 80`"}


class Described(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One endpoint in words; see the head of `reference.toml`."""

    family: str
    call: str
    does: str
    curl: str
    query: dict[str, str] = {}
    body: str = ""
    media: str = "application/json"
    gives: str = "application/json"
    status: int = 200
    shows: str = ""


@cache
def reference() -> tuple[Described, ...]:
    """Every endpoint in words, in the order of the table."""
    text = resources.files(__package__).joinpath("reference.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["endpoint"], tuple[Described, ...])


def served(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, Read | Do]]:
    """Every call of the route table, as `GET /v1/kv/{key}`, with what answers it."""
    for route in routes:
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint):
            path = route.path.replace(":path}", "}")
            for method, answer in route.endpoint.methods.items():
                yield f"{method} {path}", answer


def document(routes: Iterable[BaseRoute], version: str) -> dict[str, Any]:
    """The OpenAPI document."""
    words = {described.call: described for described in reference()}
    paths: dict[str, dict[str, Any]] = {}
    for call, answer in served(routes):
        method, path = call.split(" ")
        operation = _operation(call, answer, words.get(call))
        paths.setdefault(path, {})[method.lower()] = operation
    info = {"title": "Lockgate", "version": version, "license": {"name": "Apache-2.0"}}
    return {"openapi": OPENAPI, "info": info, "paths": paths}


def _operation(call: str, answer: Read | Do, words: Described | None) -> dict[str, Any]:
    query = dict(words.query) if words else {}
    operation = {
        "operationId": call.replace(" ", "").replace("/", "-").replace("{", "").replace("}", ""),
        "summary": words.does if words else "",
        "tags": [words.family] if words else [],
        "parameters": [*_path_parameters(call), *_query_parameters(query | _general(answer))],
        "responses": _responses(words.gives if words else "application/json"),
    }
    return operation | ({"requestBody": _body(words)} if words and words.body else {})


def _general(answer: Read | Do) -> dict[str, str]:
    """The parameters that the kind of endpoint brings with it."""
    found = dict(_COMMON)
    if isinstance(answer, Read):
        found |= _BLOCKING if answer.tables else {}
        found |= _FILTER if answer.filterable else {}
    return found


def _path_parameters(call: str) -> Iterator[dict[str, Any]]:
    for part in call.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(words: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, meaning in words.items():
        yield {"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}}


def _body(words: Described) -> dict[str, Any]:
    schema = {"description": words.body}
    return {"description": words.body, "content": {words.media: {"schema": schema}}}


def _responses(gives: str) -> dict[str, Any]:
    wrong = {code: {"description": text, "content": _CONTENT} for code, text in _ERRORS.items()}
    return {"200": {"description": "Done.", "content": {gives: {"schema": {}}} | _CONTENT}} | wrong


def _answer(call: Call) -> dict[str, Any]:
    return document(call.request.app.routes, call.services.version)


ROUTES = (at("/v1/lockgate/openapi.json", GET=Read(answer=_answer, needs=anyone)),)

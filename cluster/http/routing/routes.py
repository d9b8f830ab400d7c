"""The routes of one service, compiled from its discovery chain: which way a request takes.

Belongs here: router, splitter and resolver taken together as ways. Never here: hosts (`table`), matching
single criteria (`cluster.http.criteria`).

The first route that matches is taken; a split is drawn by weight, in hundredths of a per cent, for each
request anew. A route with an expression that is none matches nothing.
Source: consul-gateways.md 6.4 to 6.6.
"""

import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, TypeAlias

from cluster.balance import balancer_of, hash_policies_of
from cluster.chain import Chain, Resolver, Router, Splitter
from cluster.durations import parse_duration
from cluster.http.criteria import Question, questions
from cluster.http.modifiers import modifiers
from cluster.http.pattern import PatternError
from cluster.http.request import Request
from cluster.http.retries import retries_of

from .rewrite import rewrite_of
from .way import DEFAULT_IDLE_TIMEOUT_SECONDS, DEFAULT_REQUEST_TIMEOUT_SECONDS, Way

Fields: TypeAlias = Mapping[str, Any]
NOTHING: Fields = {}


class ServiceRoutes:
    """Compiled once. `problems` are routes that match nothing, and why."""

    __slots__ = ("_routes", "problems")

    def __init__(self, chain: Chain, exposed: Fields = NOTHING) -> None:
        """`exposed` is the service as an ingress listener lists it, for its header modifiers."""
        compiler = _Compiler(chain, exposed)
        self._routes = tuple(compiler.routes())
        self.problems = tuple(compiler.problems)

    def way(self, request: Request, chance: random.Random) -> Way | None:
        """The way of a request; None if no route matches: a router's last one takes every path."""
        for asked, shares in self._routes:
            if all(question(request) for question in asked):
                return shares.draw(chance)
        return None

    @property
    def only(self) -> Way | None:
        """The way that every request takes, if there is one."""
        if len(self._routes) != 1 or self._routes[0][0] or len(self._routes[0][1].ways) != 1:
            return None
        return self._routes[0][1].ways[0]

    def ways(self) -> Iterator[Way]:
        """All there are."""
        for _, shares in self._routes:
            yield from shares.ways


class _Shares:
    """Ways by weight; those of weight 0 are never drawn."""

    __slots__ = ("_sums", "ways")

    def __init__(self, weighted: tuple[tuple[int, Way], ...]) -> None:
        kept = [(weight, way) for weight, way in weighted if weight > 0]
        self.ways = tuple(way for _, way in kept)
        self._sums = tuple(accumulate(weight for weight, _ in kept))

    def draw(self, chance: random.Random) -> Way | None:
        if len(self.ways) < 2:
            return self.ways[0] if self.ways else None
        return self.ways[bisect_right(self._sums, int(chance.random() * self._sums[-1]))]


class _Compiler:
    def __init__(self, chain: Chain, exposed: Fields) -> None:
        self.chain, self.exposed = chain, exposed
        self.problems: list[str] = []

    def routes(self) -> Iterator[tuple[tuple[Question, ...], _Shares]]:
        start = self.chain.start
        if not isinstance(start, Router):
            timeout = start.request_timeout_seconds if isinstance(start, Resolver) else 0.0
            yield (), self._shares(self.chain.start_node, NOTHING, _given(timeout))
            return
        for number, route in enumerate(start.routes):
            try:
                asked = questions(_http(route.definition))
            except PatternError as error:
                self.problems.append(f"route {number + 1} of {self.chain.service}: {error}")
                continue
            destination = route.definition.get("Destination") or NOTHING
            yield asked, self._shares(route.next_node, route.definition, _of_route(destination))

    def _shares(self, node_name: str, route: Fields, settings: dict[str, Any]) -> _Shares:
        node = self.chain.nodes[node_name]
        if not isinstance(node, Splitter):
            return _Shares(((1, self._way(node_name, route, NOTHING, settings)),))
        settings = settings | {"hash_policies": hash_policies_of(node.load_balancer)}
        return _Shares(
            tuple(
                (
                    round(split.weight * 100),
                    self._way(split.next_node, route, split.definition, settings),
                )
                for split in node.splits
            )
        )

    def _way(self, node_name: str, route: Fields, split: Fields, settings: dict[str, Any]) -> Way:
        resolver = self.chain.nodes[node_name]
        assert isinstance(resolver, Resolver)
        destination = route.get("Destination") or NOTHING
        levels = (split, destination, self.exposed)
        balancer = balancer_of(resolver.load_balancer)
        made = {"hash_policies": hash_policies_of(resolver.load_balancer)} | settings
        return Way(
            targets=tuple(
                self.chain.targets[name] for name in (resolver.target, *resolver.failover)
            ),
            balancer=balancer,
            rewrite=rewrite_of(_http(route), destination.get("PrefixRewrite") or ""),
            request_headers=modifiers(*(level.get("RequestHeaders") for level in levels)),
            response_headers=modifiers(*(level.get("ResponseHeaders") for level in levels)),
            **made,
        )


def _http(route: Fields) -> Fields:
    return (route.get("Match") or NOTHING).get("HTTP") or NOTHING


def _of_route(destination: Fields) -> dict[str, Any]:
    return _given(_seconds(destination.get("RequestTimeout"))) | {
        "idle_timeout_seconds": _timeout(
            _seconds(destination.get("IdleTimeout")), DEFAULT_IDLE_TIMEOUT_SECONDS
        ),
        "retries": retries_of(destination),
    }


def _given(request_timeout: float) -> dict[str, Any]:
    return {"request_timeout_seconds": _timeout(request_timeout, DEFAULT_REQUEST_TIMEOUT_SECONDS)}


def _timeout(seconds: float, default: float) -> float | None:
    """0 is the default, a negative one none at all."""
    if seconds < 0:
        return None
    return seconds or default


def _seconds(duration: str | None) -> float:
    return parse_duration(duration) / 1e9 if duration else 0.0

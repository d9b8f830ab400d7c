"""Discovery chains, drawn: the entries, and what they come to, in `tests/golden/chain/*.json`.

`.default.default` is left out of names, nodes but the first stand in order, and SNIs are shown where they
are not the service's own; the exact shape is held by `test_render.py`.
"""

import json
from pathlib import Path

import pytest

from cluster.chain import (
    ChainError,
    Overrides,
    Request,
    Resolver,
    Router,
    Splitter,
    compile_chain,
    entries_of,
)
from cluster.chain.render import duration

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "chain"
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(GOLDEN.glob("*.json"))
    for case in json.loads(path.read_text())
]


def test_there_are_cases():
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", CASES)
def test_chain(case):
    request = Request(
        service="web",
        datacenter=case.get("datacenter", "dc1"),
        trust_domain="td",
        entries=entries_of(case["entries"]),
        overrides=Overrides(**case.get("overrides", {})),
    )
    try:
        drawn = list(draw(compile_chain(request)))
    except ChainError as error:
        drawn = [f"error: {error}"]
    assert [short(line) for line in drawn] == case["expect"]


def draw(chain):
    yield words(
        chain.protocol,
        chain.is_default and "default",
        chain.customization_hash and "customized",
        *(f"{key}={value}" for key, value in chain.service_meta.items()),
    )
    order = {Router: 0, Splitter: 1, Resolver: 2}
    for _, node in sorted(chain.nodes.items(), key=lambda item: (order[type(item[1])], item[0])):
        yield from draw_node(node)
    for _, target in sorted(chain.targets.items()):
        yield draw_target(target)


def draw_node(node):
    match node:
        case Router():
            yield f"router {node.name}"
            for route in node.routes:
                match = route.definition.get("Match", {}).get("HTTP", {}).get("PathPrefix", "{}")
                yield f"  {match} -> {at(route.next_node)}"
        case Splitter():
            yield words(f"splitter {node.name}", balancer(node))
            for split in node.splits:
                yield words(
                    f"  {split.weight:g} -> {at(split.next_node)}",
                    told("request", split.definition.get("RequestHeaders")),
                    told("response", split.definition.get("ResponseHeaders")),
                )
        case Resolver():
            assert node.name == node.target
            timeout = node.request_timeout_seconds
            yield words(
                f"resolver {node.name} {duration(node.connect_timeout_seconds)}",
                timeout and f"request={duration(timeout)}",
                node.is_default and "default",
                node.failover and f"failover={','.join(node.failover)}",
                told("policy", node.failover_policy),
                balancer(node),
            )


def draw_target(target):
    own = "" if target.service.peer else f"{target.id}"
    seconds = target.connect_timeout_seconds
    return words(
        f"target {target.id}",
        target.sni != own_sni(target, own) and f"sni={target.sni}",
        target.instances.filter and f"filter={target.instances.filter}",
        target.instances.only_passing and "passing",
        target.external and "external",
        target.mesh_gateway and f"mesh={target.mesh_gateway}",
        target.dialed_directly and "direct",
        seconds != 5 and f"timeout={duration(seconds)}",
    )


def own_sni(target, own):
    """The SNI that follows from the id."""
    head, _, datacenter = own.rpartition(".")
    return own and f"{head.removesuffix('.default')}.{datacenter}.internal.td"


def at(key):
    return key.replace(":", " ")


def balancer(node):
    return node.load_balancer and f"lb={node.load_balancer['Policy']}"


def told(name, value):
    return value and f"{name}={json.dumps(value)}"


def words(*parts):
    return " ".join(part for part in parts if part)


def short(line):
    return line.replace(".default.default.external.", ".peer.").replace(".default.default", "")

"""Discovery chains as Consul compiles them, and how it merges the headers of splits within splits."""

import pytest

from cluster.chain import ChainError, Overrides, Request, compile_chain, entries_of
from cluster.chain.headers import merged
from cluster.chain.render import rendered

IGNORED = ("EnvoyExtensions", "CustomizationHash")


@pytest.mark.cases("discovery_chain")
def test_chain(case):
    given, expected = case["input"], case["expect"]
    request = Request(
        service=given["service"],
        datacenter=given["datacenter"],
        trust_domain=given["trust_domain"],
        entries=entries_of(given["entries"]),
        overrides=Overrides(protocol=(given.get("overrides") or {}).get("OverrideProtocol", "")),
    )
    if expected.get("error"):
        with pytest.raises(ChainError) as refused:
            compile_chain(request)
        told = str(refused.value).lower()
        assert all(word in told for word in expected["error_keywords"]), told
        return
    chain = compile_chain(request)
    assert bool(chain.customization_hash) is expected["customized"]
    assert comparable(rendered(chain)) == comparable(expected["chain"])


@pytest.mark.cases("misc", op="merge_split_headers")
def test_merge_split_headers(case):
    child, parent = case["input"]["child"], case["input"]["parent"]
    if child is None:  # there is no split without a definition
        assert case["expect"] == parent
        return
    assert merged(child, parent or {}) == case["expect"]


def comparable(value):
    """Without what is empty or false."""
    if isinstance(value, dict):
        kept = {key: comparable(item) for key, item in value.items() if key not in IGNORED}
        return {key: item for key, item in kept.items() if item}
    return [comparable(item) for item in value] if isinstance(value, list) else value

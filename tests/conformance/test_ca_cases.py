"""Consul's own answers about the CA's configuration and about names in requests, read by path."""

import json
import os
from pathlib import Path

import pytest

from cluster.errors import ConfigError
from coordinator.ca.config import parse_config
from coordinator.ca.csr import clean_dns_sans

ROOT = Path(__file__).parents[2]


def cases(file, op):
    """The cases of one kind; none at all, or no file, is a failure and not a skip."""
    named = os.environ.get("LOCKGATE_CONFORMANCE", "../shared/conformance")
    path = ROOT / named / "consul" / file
    if not path.exists():
        pytest.fail(f"no conformance cases at {path}: set LOCKGATE_CONFORMANCE to their folder")
    found = [case for case in json.loads(path.read_text())["cases"] if case["op"] == op]
    assert found, f"{path} has no case of {op}"
    return found


def is_valid(config):
    try:
        parse_config(config)
    except ConfigError:
        return False
    return True


def test_ca_key_config():
    found = cases("misc.json", "ca_key_config")
    wrong = [c["id"] for c in found if is_valid(c["input"]) != c["expect"]["valid"]]
    assert wrong == []


def test_csr_dns_sans():
    found = cases("ingress_hosts.json", "csr_dns_sans")
    wrong = [c["id"] for c in found if list(clean_dns_sans(c["input"])) != c["expect"]]
    assert wrong == []

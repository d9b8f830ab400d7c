"""A wanted state from plain tables, as the store would hand it out."""

from typing import Any

import pytest

from cluster.certs import Root, TrustBundle
from cluster.snapshot import Trust
from coordinator.store.records import Record
from coordinator.store.state import State


@pytest.fixture
def state_of():
    """`state_of(entries={key: value}, services=..., ...)`: a State at revision 1."""

    def make(**tables: dict[str, dict[str, Any]]) -> State:
        records = {
            table: {
                key: Record(table=table, key=key, value=value, create_index=1, modify_index=2)
                for key, value in rows.items()
            }
            for table, rows in tables.items()
        }
        return State(2, records, dict.fromkeys(records, 2))

    return make


@pytest.fixture
def trust() -> Trust:
    root = Root(id="r1", pem=b"a root", active=True)
    return Trust(datacenter="dc1", bundle=TrustBundle(trust_domain="1234.consul", roots=(root,)))

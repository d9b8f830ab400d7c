"""A key set is asked once about a token, good or bad, and forgets in good time."""

import pytest

from cluster.http import verdicts
from cluster.http.jwks import BadToken
from cluster.http.verdicts import Verdicts


class Keys:
    """Signs whatever begins with a g."""

    def __init__(self):
        self.asked = []

    def signed(self, token):
        self.asked.append(token)
        if token.startswith("g"):
            return {"sub": token}
        raise BadToken("no key")


def refused(memory, token):
    with pytest.raises(BadToken, match="no key"):
        memory.signed(token)


@pytest.fixture
def keys():
    return Keys()


def test_each_token_costs_one_signature(keys):
    memory = Verdicts(keys, 2)
    for _ in range(3):
        assert memory.signed("good") == {"sub": "good"}
        refused(memory, "bad")
    assert keys.asked == ["good", "bad"]


def test_what_was_used_last_is_remembered(keys):
    memory = Verdicts(keys, 2)
    for token in ("g1", "g2", "g1", "g3", "g1", "g2"):
        memory.signed(token)
    assert keys.asked == ["g1", "g2", "g3", "g2"]


def test_bad_tokens_drive_no_good_one_out_and_are_bounded(keys, monkeypatch):
    monkeypatch.setattr(verdicts, "REFUSALS", 3)
    memory = Verdicts(keys, 1)
    memory.signed("good")
    for number in range(10):
        refused(memory, f"bad{number}")
    keys.asked.clear()
    memory.signed("good")
    refused(memory, "bad9")
    assert keys.asked == []
    refused(memory, "bad0")
    assert keys.asked == ["bad0"]

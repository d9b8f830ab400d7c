"""A single intention as the older API has it."""

import pytest

from coordinator.entries.intention_pair import validate_pair

PAIR = {
    "SourceNS": "default",
    "SourceName": "web",
    "DestinationNS": "default",
    "DestinationName": "api",
    "SourceType": "consul",
    "Action": "allow",
}
PERMISSIONS = [{"Action": "allow", "HTTP": {"Methods": ["get"]}}]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"SourceName": "*", "DestinationName": "*"},
        {"SourceNS": "*", "SourceName": "*"},
        {"Action": "", "Permissions": PERMISSIONS},
        {"ID": "x", "Precedence": 9},
    ],
)
def test_valid(change):
    assert validate_pair(PAIR | change) == ()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"SourceNS": ""}, "SourceNS"),
        ({"SourceName": ""}, "SourceName"),
        ({"DestinationName": "a*"}, "DestinationName"),
        ({"DestinationNS": "*"}, "DestinationName"),
        ({"SourceType": ""}, "SourceType"),
        ({"Action": "maybe"}, "Action"),
        ({"Permissions": PERMISSIONS}, "Action"),
        ({"Action": "", "Permissions": [{"Action": "allow"}]}, "Permissions[0].HTTP"),
        ({"Action": "", "Permissions": PERMISSIONS, "DestinationName": "*"}, "Permissions"),
        ({"Description": "x" * 513}, "Description"),
        ({"Meta": {"k" * 129: ""}}, "Meta." + "k" * 128),
        ({"SourceName": []}, "SourceName"),
    ],
)
def test_refused(change, path):
    assert [problem.path for problem in validate_pair(PAIR | change)] == [path]


def test_what_is_no_object():
    assert validate_pair([]) != ()
    assert validate_pair({"SourceName": "\ud800"}) != ()

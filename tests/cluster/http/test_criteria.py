"""Every question that may be asked of a request."""

import pytest

from cluster.http.criteria import parameter_value, questions
from cluster.http.pattern import PatternError
from cluster.http.request import Request, wire_text


def header(**criteria):
    return {"Header": [{"Name": "X-Team"} | criteria]}


def parameter(**criteria):
    return {"QueryParam": [{"Name": "team"} | criteria]}


def request(path="/", method="GET", query="", **headers):
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method=method, path=path, query=query, headers=named)


@pytest.mark.parametrize(
    ("http", "asked", "met"),
    [
        ({}, request("/any", "PUT"), True),
        ({"PathExact": "/a"}, request("/a"), True),
        ({"PathExact": "/a"}, request("/a", query="x=1"), True),
        ({"PathExact": "/a"}, request("/A"), False),
        ({"PathExact": "/a", "CaseInsensitive": True}, request("/A"), True),
        ({"PathExact": "/a"}, request("/a/"), False),
        ({"PathPrefix": "/adm"}, request("/admin"), True),
        ({"PathPrefix": "/adm"}, request("/x/adm"), False),
        ({"PathPrefix": "/ADM", "CaseInsensitive": True}, request("/admin"), True),
        ({"PathRegex": "/v[0-9]+"}, request("/v12"), True),
        ({"PathRegex": "/v[0-9]+"}, request("/v12/x"), False),
        ({"PathRegex": "/A", "CaseInsensitive": True}, request("/a"), False),
        ({"Methods": ["GET", "PUT"]}, request(method="PUT"), True),
        ({"Methods": ["GET"]}, request(method="POST"), False),
        ({"Methods": ["GET"]}, request(method="get"), False),
        ({"PathPrefix": "/a", "Methods": ["GET"]}, request("/a", "POST"), False),
        (header(Present=True), request(x_team="a"), True),
        (header(Present=True), request(x_team=""), True),
        (header(Present=True), request(), False),
        (header(Present=True, Invert=True), request(), True),
        (header(Exact="a"), request(x_team="a"), True),
        (header(Exact="a"), request(x_team="A"), False),
        (header(Exact="a", IgnoreCase=True), request(x_team="A"), True),
        (header(Exact="a", Invert=True), request(), True),
        (header(Exact="a", Invert=True), request(x_team="a"), False),
        (header(Prefix="ab"), request(x_team="abc"), True),
        (header(Prefix="AB", IgnoreCase=True), request(x_team="abc"), True),
        (header(Suffix="bc"), request(x_team="abc"), True),
        (header(Contains="b"), request(x_team="abc"), True),
        (header(Contains="B", IgnoreCase=True), request(x_team="abc"), True),
        (header(Contains="B"), request(x_team="abc"), False),
        (header(Regex="a+"), request(x_team="aa"), True),
        (header(Regex="a+"), request(x_team="aab"), False),
        (header(Regex="a+", Invert=True), request(x_team="aab"), True),
        (header(Exact="é"), request(x_team=wire_text("é")), True),
        (header(Exact="É", IgnoreCase=True), request(x_team=wire_text("é")), False),
        (header(Exact="xÉ", IgnoreCase=True), request(x_team=wire_text("XÉ")), True),
        (header(), request(x_team="a"), False),
        (header(Exact="a,b"), Request(headers=(("x-team", "a"), ("x-team", "b"))), True),
        (header(Exact="a"), Request(headers=(("x-team", "a"), ("x-team", "b"))), False),
        ({"Header": [{"Name": "Host", "Exact": "h:8"}]}, Request(host="h:8"), True),
        ({"Header": [{"Name": ":authority", "Exact": "h"}]}, Request(host="h"), True),
        ({"Header": [{"Name": "host", "Present": True}]}, Request(), False),
        ({"Header": [{"Name": ":method", "Exact": "GET"}]}, Request(), True),
        ({"Header": [{"Name": ":path", "Exact": "/a?b"}]}, Request(path="/a", query="b"), True),
        (parameter(Present=True), request(query="team"), True),
        (parameter(Present=True), request(query="a=b&team="), True),
        (parameter(Present=True), request(query="teams=a"), False),
        (parameter(Present=True), request(), False),
        (parameter(Exact="a b"), request(query="team=a%20b"), True),
        (parameter(Exact="a b"), request(query="team=a+b"), False),
        (parameter(Exact="a&b"), request(query="team=a%26b"), True),
        (parameter(Exact="b"), request(query="team=a&team=b"), False),
        (parameter(Exact="é"), request(query="team=%C3%A9"), True),
        (parameter(Exact="a"), request(query="te%61m=a"), True),
        (parameter(Regex="v[0-9]"), request(query="team=v1"), True),
        (parameter(Regex="v[0-9]"), request(query="team=v12"), False),
    ],
)
def test_a_question(http, asked, met):
    assert all(question(asked) for question in questions(http)) is met


@pytest.mark.parametrize("http", [{"PathRegex": "("}, header(Regex="("), parameter(Regex="(")])
def test_an_expression_that_is_none(http):
    with pytest.raises(PatternError):
        questions(http)


def test_a_parameter_without_a_value():
    assert parameter_value("a&b=%zz&=c", "a") == ""
    assert parameter_value("a&b=%zz&=c", "b") == "%zz"
    assert parameter_value("", "") is None

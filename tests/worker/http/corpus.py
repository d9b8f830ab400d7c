"""Requests that two parsers might read in two ways, each with the answer it must get.

The answers' connections are closed, so what comes behind is never read as a request.
"""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def request(*lines, body=b""):
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(*lines, body=b""):
    return request(b"POST / HTTP/1.1", b"Host: a", *lines, body=body)


def get(*lines):
    return request(b"GET / HTTP/1.1", b"Host: a", *lines)


#: Refused by their heads: name, bytes, status.
HEADS = [
    # where the body ends
    ("both lengths", post(b"Content-Length: 3", b"Transfer-Encoding: chunked"), 400),
    (
        "both lengths, other way round",
        post(b"Transfer-Encoding: chunked", b"Content-Length: 3"),
        400,
    ),
    ("two lengths", post(b"Content-Length: 3", b"Content-Length: 4"), 400),
    ("two equal lengths", post(b"Content-Length: 3", b"Content-Length: 3"), 400),
    ("a list of lengths", post(b"Content-Length: 3, 3"), 400),
    ("a signed length", post(b"Content-Length: +3"), 400),
    ("a negative length", post(b"Content-Length: -1"), 400),
    ("a hexadecimal length", post(b"Content-Length: 0x3"), 400),
    ("a length with an underscore", post(b"Content-Length: 1_0"), 400),
    ("a length with a space", post(b"Content-Length: 1 0"), 400),
    ("an empty length", post(b"Content-Length:"), 400),
    ("a huge length", post(b"Content-Length: " + b"9" * 30), 400),
    ("a length in other digits", post(b"Content-Length: \xd9\xa3"), 400),
    ("another coding", post(b"Transfer-Encoding: gzip"), 400),
    ("chunked not last", post(b"Transfer-Encoding: chunked, gzip"), 400),
    ("chunked behind another", post(b"Transfer-Encoding: gzip, chunked"), 400),
    ("chunked twice", post(b"Transfer-Encoding: chunked, chunked"), 400),
    ("two codings", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), 400),
    ("identity", post(b"Transfer-Encoding: identity"), 400),
    ("a quoted coding", post(b'Transfer-Encoding: "chunked"'), 400),
    ("a coding with a comma", post(b"Transfer-Encoding: chunked,"), 400),
    ("an empty coding", post(b"Transfer-Encoding:"), 400),
    ("a vertical tab before the coding", post(b"Transfer-Encoding: \x0bchunked"), 400),
    ("a null behind the coding", post(b"Transfer-Encoding: chunked\x00"), 400),
    (
        "chunks in HTTP/1.0",
        request(b"POST / HTTP/1.0", b"Host: a", b"Transfer-Encoding: chunked"),
        400,
    ),
    ("TRACE with a body", request(b"TRACE / HTTP/1.1", b"Host: a", b"Content-Length: 1"), 400),
    # lines
    ("obs-fold", get(b"X-A: b", b" c"), 400),
    ("obs-fold with a tab", get(b"X-A: b", b"\tc"), 400),
    ("obs-fold on the first field", request(b"GET / HTTP/1.1", b" Host: a"), 400),
    ("a bare CR in a value", get(b"X-A: b\rc"), 400),
    ("a bare LF in a value", get(b"X-A: b\nTransfer-Encoding: chunked"), 400),
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: a\n\n", 400),
    ("bare LF at the end of the head", b"GET / HTTP/1.1\r\nHost: a\r\n\n" + SMUGGLED, 400),
    ("a null in a value", get(b"X-A: b\x00c"), 400),
    ("a control character in a value", get(b"X-A: \x1b[2J"), 400),
    ("a space before the colon", get(b"X-A : b"), 400),
    ("a tab before the colon", get(b"Content-Length\t: 3"), 400),
    ("a space in a name", get(b"X A: b"), 400),
    ("a space before a name", request(b"GET / HTTP/1.1", b"Host: a", b" X-A: b"), 400),
    ("a name with a bracket", get(b"X(A): b"), 400),
    ("a name that is not ASCII", get(b"X-\xe4: b"), 400),
    ("no name", get(b": b"), 400),
    ("no colon", get(b"X-A"), 400),
    # the first line
    ("no version", b"GET /\r\nHost: a\r\n\r\n", 400),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("HTTP/1.2", request(b"GET / HTTP/1.2", b"Host: a"), 400),
    ("HTTP/2.0", request(b"GET / HTTP/2.0", b"Host: a"), 400),
    ("HTTP/1.10", request(b"GET / HTTP/1.10", b"Host: a"), 400),
    ("nearly HTTP/2's preface", b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("http in small letters", request(b"GET / http/1.1", b"Host: a"), 400),
    ("two spaces", request(b"GET  / HTTP/1.1", b"Host: a"), 400),
    ("a space behind the version", request(b"GET / HTTP/1.1 ", b"Host: a"), 400),
    ("a tab instead of a space", request(b"GET\t/ HTTP/1.1", b"Host: a"), 400),
    ("a space in the target", request(b"GET /a b HTTP/1.1", b"Host: a"), 400),
    ("a target that is not ASCII", request(b"GET /\xe4 HTTP/1.1", b"Host: a"), 400),
    ("a fragment", request(b"GET /a#b HTTP/1.1", b"Host: a"), 400),
    ("a relative target", request(b"GET a HTTP/1.1", b"Host: a"), 400),
    ("an asterisk for GET", request(b"GET * HTTP/1.1", b"Host: a"), 400),
    ("a method in small letters", request(b"get / HTTP/1.1", b"Host: a"), 400),
    ("an unknown method", request(b"FROB / HTTP/1.1", b"Host: a"), 400),
    ("a space before the method", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("TLS in TLS", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" * 4 + b"\r\n\r\n", 400),
    # whom it is for
    ("no Host", request(b"GET / HTTP/1.1", b"X-A: b"), 400),
    ("two Hosts", get(b"Host: b"), 400),
    ("two equal Hosts", get(b"Host: a"), 400),
    ("two Hosts in other letters", get(b"hOST: b"), 400),
    ("an empty Host", request(b"GET / HTTP/1.1", b"Host:"), 400),
    ("two hosts in one", request(b"GET / HTTP/1.1", b"Host: a, b"), 400),
    ("a Host with a user", request(b"GET / HTTP/1.1", b"Host: u@a"), 400),
    ("a Host with a path", request(b"GET / HTTP/1.1", b"Host: a/b"), 400),
    ("a Host with a bad port", request(b"GET / HTTP/1.1", b"Host: a:8o"), 400),
    ("a Host with two ports", request(b"GET / HTTP/1.1", b"Host: a:80:81"), 400),
    ("another host in the target", request(b"GET http://b/ HTTP/1.1", b"Host: a"), 400),
    ("another port in the target", request(b"GET http://a:81/ HTTP/1.1", b"Host: a"), 400),
    ("a user in the target", request(b"GET http://u@a/ HTTP/1.1", b"Host: a"), 400),
    ("another scheme", request(b"GET ftp://a/ HTTP/1.1", b"Host: a"), 400),
    ("an absolute target without Host", request(b"GET http://a/ HTTP/1.1", b"X: y"), 400),
    # how much
    ("too many fields", get(*[b"X-%d: y" % n for n in range(101)]), 400),
    ("a head that is too large", get(b"X-A: " + b"b" * 70_000), 400),
    (
        "a target that is too large",
        request(b"GET /" + b"a" * 70_000 + b" HTTP/1.1", b"Host: a"),
        400,
    ),
    # what is not done
    ("CONNECT", request(b"CONNECT a:443 HTTP/1.1", b"Host: a:443"), 405),
    ("CONNECT to a path", request(b"CONNECT / HTTP/1.1", b"Host: a"), 405),
    ("another expectation", post(b"Expect: 200-ok", b"Content-Length: 0"), 417),
]


def chunked(body):
    return post(b"Transfer-Encoding: chunked", body=body)


#: Refused by their bodies, in the middle: name, bytes.
BODIES = [
    ("a chunk size that is no number", chunked(b"g\r\nabc\r\n0\r\n\r\n")),
    ("a chunk size with 0x", chunked(b"0x3\r\nabc\r\n0\r\n\r\n")),
    ("a signed chunk size", chunked(b"+3\r\nabc\r\n0\r\n\r\n")),
    ("a negative chunk size", chunked(b"-3\r\nabc\r\n0\r\n\r\n")),
    ("an empty chunk size", chunked(b"\r\nabc\r\n0\r\n\r\n")),
    ("a space before a chunk size", chunked(b" 3\r\nabc\r\n0\r\n\r\n")),
    ("a space behind a chunk size", chunked(b"3 \r\nabc\r\n0\r\n\r\n")),
    ("a chunk size of seventeen digits", chunked(b"00000000000000003\r\nabc\r\n0\r\n\r\n")),
    ("a chunk size that overflows", chunked(b"fffffffffffffffff\r\nabc")),
    ("a chunk size with an underscore", chunked(b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n")),
    ("a bare LF behind a chunk size", chunked(b"3\nabc\r\n0\r\n\r\n")),
    ("a bare CR behind a chunk size", chunked(b"3\rabc\r\n0\r\n\r\n")),
    ("a bare LF behind a chunk", chunked(b"3\r\nabc\n0\r\n\r\n")),
    ("a chunk that is longer than its size", chunked(b"3\r\nabcd\r\n0\r\n\r\n")),
    ("a chunk that is shorter than its size", chunked(b"4\r\nabc\r\n0\r\n\r\n")),
    ("a bare LF in an extension", chunked(b"3;a=\nb\r\nabc\r\n0\r\n\r\n")),
    ("a bare CR in an extension", chunked(b"3;a=\rb\r\nabc\r\n0\r\n\r\n")),
    ("an open quote in an extension", chunked(b'3;a="b\r\nabc\r\n0\r\n\r\n')),
    ("an extension without a name", chunked(b"3;\r\nabc\r\n0\r\n\r\n")),
    ("a huge extension", chunked(b"3;a=" + b"b" * 300 + b"\r\nabc\r\n0\r\n\r\n")),
    ("a bare LF behind the last chunk", chunked(b"0\r\n\n")),
    ("obs-fold in trailers", chunked(b"0\r\nX: y\r\n z\r\n\r\n")),
    ("a bare LF in trailers", chunked(b"0\r\nX: y\nA: b\r\n\r\n")),
    ("a space in a trailer's name", chunked(b"0\r\nX A: y\r\n\r\n")),
    ("huge trailers", chunked(b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n")),
]

#: Accepted, though each has fooled somebody: name, bytes, and the body that is meant.
GOOD = [
    ("a length with white space around", post(b"Content-Length: \t3 ", body=b"abc"), b"abc"),
    ("a length with zeros", post(b"Content-Length: 0003", body=b"abc"), b"abc"),
    (
        "a coding in capitals",
        post(b"Transfer-Encoding: CHUNKED", body=b"3\r\nabc\r\n0\r\n\r\n"),
        b"abc",
    ),
    ("an empty body in chunks", chunked(b"0\r\n\r\n"), b""),
    (
        "sizes in both cases",
        chunked(b"a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n"),
        b"0123456789abcdefghij",
    ),
    ("a size with zeros", chunked(b"0003\r\nabc\r\n000\r\n\r\n"), b"abc"),
    ("extensions", chunked(b'3;a=b;c="d;\\"e";f\r\nabc\r\n0;g\r\n\r\n'), b"abc"),
    ("trailers", chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: b\r\n\r\n"), b"abc"),
    ("a request in a body", post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), SMUGGLED),
    (
        "a request in a chunk",
        chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
        SMUGGLED,
    ),
    ("an absolute target", request(b"GET http://A/b?c HTTP/1.1", b"Host: a"), b""),
    ("a hundred fields", get(*[b"X-%d: y" % n for n in range(99)]), b""),
    ("an IPv6 host", request(b"GET / HTTP/1.1", b"Host: [::1]:80"), b""),
    ("OPTIONS for the server", request(b"OPTIONS * HTTP/1.1", b"Host: a"), b""),
    ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", b""),
    ("bytes beyond ASCII in a value", get(b"X-A: \xe4\xff"), b""),
    ("an empty value", get(b"X-A:", b"X-B: "), b""),
]

"""The grammar of HTTP/1.1 as strictly as we take it, in regular expressions that cannot stall.  ●

Source: RFC 9112 (messages), RFC 9110 section 5 (fields), RFC 3986 section 3.2 (authority). Every loop is
possessive, so a match takes one pass whatever the bytes are.

Belongs here: which bytes may stand where. Never here: what they mean (`requests`, `responses`, `chunks`).
"""

import re

_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]"
_FIELDS = rb"(?:" + _TCHAR + rb"++:" + _TEXT + rb"*+\r\n)*+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION = rb";" + _TCHAR + rb"++(?:=(?:" + _TCHAR + rb"++|" + _QUOTED + rb"))?+"

#: A whole request head: no bare CR or LF, no folded line, no space before a colon.
REQUEST = re.compile(_TCHAR + rb"++ [\x21-\x7e]++ HTTP/1\.[01]\r\n" + _FIELDS + rb"\r\n")
#: Its first line, to refuse garbage before the rest has come.
REQUEST_LINE = re.compile(_TCHAR + rb"++ [\x21-\x7e]++ HTTP/1\.[01]\r\n")
#: A whole response head. The reason phrase may be missing, with its space.
RESPONSE = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9]{2}(?: " + _TEXT + rb"*+)?+\r\n" + _FIELDS + rb"\r\n"
)
#: Trailers and the empty line behind them; group 1 is one field.
TRAILERS = re.compile(_FIELDS + rb"\r\n")
FIELD = re.compile(rb"(" + _TCHAR + rb"++):[\t ]*+(" + _TEXT + rb"*+)\r\n")
#: The line before a chunk; group 1 is the size. Sixteen digits are more than anybody has.
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*+\r\n")
#: What may be the beginning of one.
CHUNK_LINE_BEGUN = re.compile(rb"[0-9A-Fa-f]{0,16}+(?:;[\t\x20-\x7e\x80-\xff]*+)?+\r?+")
#: A length in octets: digits and nothing else (RFC 9110 section 8.6).
LENGTH = re.compile(rb"[0-9]{1,18}")
#: `Host` and the authority of a target: a name or an address, and a port. No user, and no comma, which
#: might be two hosts joined.
AUTHORITY = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})++(?::[0-9]{0,5}+)?+"
    rb"|\[[0-9A-Fa-f:.]++\](?::[0-9]{0,5}+)?+"
)

"""A request as the `mesh` entry wants requests read: the one spelling that rules and upstream get.  ●

What is always done to a path is done where a head is read (`requests`); this is what may be asked for on top:
slashes merged, escaped slashes refused, undone or sent back, fields with an underscore refused or dropped.

Belongs here: those, on a head that was read. Never here: their meaning (`cluster.http.target`), or who asks.
"""

import msgspec

from cluster.http import DEFAULT_NORMALISATION, BadRequest, Normalisation, Underscores, read_target
from worker.http import answers
from worker.http.answers import Answer
from worker.http.requests import RequestHead


def normalised(request: RequestHead, rules: Normalisation) -> RequestHead | Answer:
    """The same head if nothing is to be changed; what the caller is told if it is not taken like this."""
    if rules == DEFAULT_NORMALISATION:
        return request
    if rules.underscores is not Underscores.ALLOW:
        kept = tuple(field for field in request.fields if b"_" not in field[0])
        if len(kept) < len(request.fields):
            if rules.underscores is Underscores.REJECT:
                return answers.bad_request(400, "a header's name has no underscore here")
            request = msgspec.structs.replace(request, fields=kept)
    return _with_target(request, rules)


def _with_target(request: RequestHead, rules: Normalisation) -> RequestHead | Answer:
    target = request.target.decode("latin-1")
    try:
        read = read_target(target, request.method.decode("latin-1"), rules)
    except BadRequest as error:
        return answers.bad_request(400, str(error))
    if read.path == request.path:
        return request
    request = msgspec.structs.replace(request, path=read.path)
    if read.redirect:
        return Answer(status=307, fields=((b"location", request.target),))
    return request

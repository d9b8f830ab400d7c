"""The tokens of a request at a gateway that decides about it: verified before, and what of them goes on.

Belongs here: a request's head with its tokens taken out and what they say put in. Never here: verifying
(`cluster.http.verify`), or the decision.
"""

import msgspec

from cluster.http import Request, RequestPolicy, Verified
from cluster.http.verify import NOTHING_ASKED
from worker.http.fields import Field
from worker.http.requests import RequestHead
from worker.view.view import View


def verified(view: View, policy: RequestPolicy, request: Request, now: float) -> Verified:
    """What the tokens that the policy asks for come to, at `now` (seconds since 1970)."""
    return view.tokens.verify(policy.providers, request, now)


def onward(request: RequestHead, found: Verified) -> RequestHead:
    """The head that goes on. What looks like a header of ours to a server that folds `_` goes too."""
    if found is NOTHING_ASKED or not (found.removed or found.added):
        return request
    gone = {name.encode("latin-1") for name in found.removed}
    added = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in found.added)
    return msgspec.structs.replace(
        request,
        fields=(*(field for field in request.fields if not _is_one_of(gone, field)), *added),
        forwarded={name: value for name, value in request.forwarded.items() if name not in gone},
    )


def _is_one_of(names: set[bytes], field: Field) -> bool:
    name = field[0].lower()
    return name in names or name.replace(b"_", b"-") in names

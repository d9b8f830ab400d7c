"""A request that was begun without a task, and is handed to one.

Belongs here: the value. Never here: beginning (`turns`) or going on (`conversation`).
"""

from dataclasses import dataclass

from worker.http.answers import Answer
from worker.http.backend import Way
from worker.http.requests import RequestHead


@dataclass(slots=True)
class Begun:
    """Its body, whole, is unread again.

    With `rest` it was answered with `status`, but for these bytes. Else `judged` has been said about it, and
    a way's next `connect` gives the upstream that it was sent to, if it was.
    """

    request: RequestHead
    started: float
    judged: Way | Answer
    status: int = 0
    rest: bytes = b""

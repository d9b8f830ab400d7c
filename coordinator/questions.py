"""Questions to nodes that wait for their answer.

Belongs here: bringing an answer to whoever asked. Never here: what is asked (`fleet`), or sending.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import trio

from cluster.messages import Answer


class Question:
    """One request to one node; `answer` waits."""

    def __init__(self, request: int, node: str) -> None:
        self.request = request
        self.node = node
        self._answer: Answer | None = None
        self._answered = trio.Event()

    def settle(self, answer: Answer) -> None:
        self._answer = answer
        self._answered.set()

    async def answer(self) -> Answer:
        """The answer. For ever, if none comes: the caller brings its own patience."""
        await self._answered.wait()
        assert self._answer is not None
        return self._answer


class Questions:
    """All that are open, by request number."""

    def __init__(self) -> None:
        self._open: dict[int, Question] = {}
        self._numbers = count(1)

    @contextmanager
    def asking(self, node: str) -> Iterator[Question]:
        """A question that is open while the block lasts; an answer after that is nobody's."""
        question = Question(next(self._numbers), node)
        self._open[question.request] = question
        try:
            yield question
        finally:
            del self._open[question.request]

    def answered(self, node: str, answer: Answer) -> bool:
        """Settle the question that `node` answers; False if it was asked no such thing."""
        question = self._open.get(answer.request)
        if question is None or question.node != node:
            return False
        question.settle(answer)
        return True

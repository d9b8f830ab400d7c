"""The one mutable cell of a worker: the view it serves.

Belongs here: the swap. Never here: making a view, or acting on the change.
"""

from worker.view.view import View


class Current:
    """Read the attribute at every decision; only `worker.control` swaps."""

    __slots__ = ("view",)

    def __init__(self, view: View) -> None:
        self.view = view

    def swap(self, view: View) -> View:
        """One assignment, nothing awaited; gives the old view back."""
        old, self.view = self.view, view
        return old

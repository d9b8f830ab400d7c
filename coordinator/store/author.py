"""On whose behalf the running task writes.

Belongs here: the name, from whoever takes an order to the one place that commits. Never here: whether they
may. A name goes a long way from a request to its commit, through functions that have no business with it;
so it travels with the task, and the tasks that it starts.
"""

from contextvars import ContextVar

#: Empty is nobody known, for instance the coordinator by itself.
AUTHOR: ContextVar[str] = ContextVar("author", default="")

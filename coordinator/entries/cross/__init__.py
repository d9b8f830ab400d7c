"""Rules between entries: what a write or a delete would leave behind must fit together.

Belongs here: rules that need more than one entry, and which of them a change can touch. Never here: a rule
of one entry alone, or the store.

An `Index` knows the entries and who refers to whom; `judge` asks it about a change, and looks only at what
the change can reach. `cross_problems` asks about all of some entries at once.
"""

from .index import Index, Key
from .judge import cross_problems, judge

__all__ = ["Index", "Key", "cross_problems", "judge"]

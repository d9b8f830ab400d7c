"""The gateway kinds: one straight-line coroutine each. They know nothing of each other."""

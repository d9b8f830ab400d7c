"""Lockgate, the data plane: a snapshot in, traffic through. Knows coordinators only by their messages."""

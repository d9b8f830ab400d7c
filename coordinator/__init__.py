"""Lockgate, the control plane: wanted state in, snapshots out. Knows nodes only by their messages."""

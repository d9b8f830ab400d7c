"""Leaf keys and certificates of this node: made here, signed by the coordinator, kept on this disk.

Belongs here: getting, checking, keeping and renewing leaves. Never here: TLS, or sending a private key
anywhere but to this host's own workers.
"""

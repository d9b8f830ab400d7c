"""The node: one supervisor process per gateway host, which serves no traffic itself.

Belongs here: the listening sockets, the keys, the last good snapshot, the link to the coordinator, and the
workers' lives. Never here: parsing or carrying anything that a client sent.
"""

"""Moving the bytes of an established connection, both ways, until it is over.

Belongs here: the engine contract, the engines, and the choice between them. Never here: a decision
about a connection (who may, where to), or a look at a byte that is moved.
"""

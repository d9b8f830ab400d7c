"""Sockets and what one side of a relayed connection looks like. Nothing here knows a gateway."""

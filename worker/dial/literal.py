"""Telling an IP address from a name.

Belongs here: this one question, asked for every connection. Never here: anything about names.
"""

import socket


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address as inet_pton(3) reads it; a zone (`%eth0`) may follow."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        socket.inet_pton(family, text.split("%", 1)[0])
    except (OSError, ValueError):  # ValueError: a null character in the text
        return False
    return True

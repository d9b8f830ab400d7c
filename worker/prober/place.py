"""`host:port` as a check's definition writes it. Pure. Nothing else belongs here."""


def split_place(text: str) -> tuple[str, int]:
    """Host and port; an IPv6 address is in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text[:100]!r} is no host:port")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if not host or ":" in host:
        raise ValueError(f"{text[:100]!r} is no host:port")
    return host, int(port)

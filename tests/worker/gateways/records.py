"""TLS records by hand."""


def as_records(hello, size):
    """The handshake message of a ClientHello in one record, in records of `size` bytes instead."""
    head, message = hello[:3], hello[5 : 5 + int.from_bytes(hello[3:5], "big")]
    rest = hello[5 + len(message) :]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(head + len(part).to_bytes(2, "big") + part for part in parts) + rest

"""What a check says about itself, cut to a length. Pure. Nothing else belongs here.

Source: Consul, "Health checks", `output_max_size`: 4 KiB by default.
"""

MAX_BYTES = 4096


def bounded(output: str, limit: int = 0) -> str:
    """The output, its beginning if it is longer than `limit` bytes (0: the default) allow."""
    limit = min(limit or MAX_BYTES, MAX_BYTES)
    encoded = output.encode()
    if len(encoded) <= limit:
        return output
    kept = encoded[:limit].decode(errors="ignore")
    return f"{kept} ... (captured {limit} of {len(encoded)} bytes)"

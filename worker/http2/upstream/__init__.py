"""HTTP/2 towards upstreams: connections that carry many requests at once, and each request as an `Ask`.

Belongs here: what a client of HTTP/2 does. Never here: serving callers (`worker.http2`), choosing an
endpoint, or dialling it.
"""

"""HTTP/2 (RFC 9113): many requests at once on one connection.

Belongs here: frames, streams, flow control, and what protects from whoever abuses them. Never here: what a
request may do or where it goes (`worker.gateways`), or what both versions of HTTP share (`worker.http`).
"""

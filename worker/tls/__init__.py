"""TLS at a gateway: the ClientHello before OpenSSL sees it, then handshakes and established legs.

Belongs here: everything that touches pyOpenSSL. Never here: routes, identities or intentions; what a
peer's certificate must name is handed in as a function.
"""

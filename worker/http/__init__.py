"""HTTP/1.1 for gateways: strict heads and bodies without I/O, and the wire, pools and exchange around them.

Belongs here: what holds for any gateway kind that speaks HTTP. Never here: who may ask for what
(`cluster`), or where a request goes, which a gateway kind says.
"""

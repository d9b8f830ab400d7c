"""The certificate authority: one root per trust domain, leaves for services, gateways and agents.

`config`, `csr`, `root` and `sign` are plain functions over values; `serials` and `admission` ration what they
use; `authority` ties them to the wanted state. Who may ask for which identity is decided by the caller.
Source of the rules: Consul's built-in CA provider.
"""

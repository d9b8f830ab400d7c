"""The sidecar: a local plain port in, mutual TLS into the mesh out, and the reverse.

A process of its own. It knows the coordinator only by its HTTP API, and moves bytes with the workers'
engines.
"""

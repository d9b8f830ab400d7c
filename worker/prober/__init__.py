"""A process of its own that does active health checks: it talks to strangers, so that the node need not.

`python -I -m worker.prober`, one per node, started when there is something to probe. On its standard input it
is told what to probe (one JSON line: all probes, in place of those before), on its standard output it says
what it found (one JSON line per verdict). It has no keys of the mesh, and ends with its input.

`rounds` keeps the clock, `probing` turns any outcome into a verdict; `http`, `tcp` and `grpc` are the ways to
ask, `trust` is what TLS peers are verified with. Nothing here knows the catalog, or counts failures.
"""

"""The coordinator's HTTP API: Consul's paths and shapes for what we have, and `/v1/lockgate/` of our own.

One file per family of endpoints. `endpoint` has what an endpoint is, `blocking` the blocking queries, `body`
and `answers` JSON in and out, `app` the table of all of them, `serve` the sockets and who may speak.
Decisions are those of the data path, called from `cluster`; none is made here.
"""

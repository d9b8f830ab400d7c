"""Checks over time: those that wait for reports, those that mirror others, and what is critical for too long.

`heartbeats` remembers what TTL checks were told, `output` bounds what they say, `upkeep` does what is due.
`probes`, `verdicts` and `probing` are about checks that gateway hosts do: who does them, and what follows.
What a status means for traffic is `cluster.catalog`'s business, never this package's.
"""

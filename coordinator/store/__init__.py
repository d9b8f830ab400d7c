"""Where the wanted state is kept: records in named tables, one revision per commit.

`records` has the words and the interface, `settle` the meaning of a commit, `sqlite` and `memory` the two
implementations, `state` the picture in memory and those who wait for it to change, `history` the snapshots
that were published. What a record means belongs to whoever owns its table, never here.
"""

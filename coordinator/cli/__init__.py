"""The command line: `lockgate`. A client of the API; daemons are started by exec.

One file per family of subcommands. `options` has how options are written, `settings` the global ones,
`output` how results are shown, `program` the tree of commands and the exit status.
"""

from .program import main

__all__ = ["main"]

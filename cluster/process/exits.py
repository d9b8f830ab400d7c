"""Exit statuses of daemons: what a supervisor may conclude from them.  ●"""

ASKED_TO_STOP = 0
BUG = 1
#: Configuration, lock, port: trying again is of no use (EX_CONFIG of sysexits.h).
COULD_NOT_BOOT = 78

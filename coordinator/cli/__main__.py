"""`python -m coordinator.cli`: the same as the `lockgate` script. Nothing else belongs here."""

from coordinator.cli import main

main()

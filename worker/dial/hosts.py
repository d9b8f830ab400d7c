"""The hosts file (hosts(5)): names that need no DNS.

Belongs here: its grammar, and noticing that it changed. Never here: any other source of names.
"""

from worker.dial.literal import is_address
from worker.dial.watched import WatchedFile


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Name (lower case, no final dot) to addresses in the order of the file; bad lines are skipped."""
    names: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *aliases = line.split("#", 1)[0].split() or [""]
        if is_address(address):
            for alias in map(canonical, aliases):
                if address not in names.get(alias, ()):
                    names[alias] = (*names.get(alias, ()), address)
    return names


def canonical(name: str) -> str:
    """The form in which names are compared."""
    return name.rstrip(".").lower()


class HostsFile:
    """A hosts file that is read again when it changes; one that is missing has no names."""

    def __init__(self, path: str) -> None:
        self._file = WatchedFile(path)
        self._names: dict[str, tuple[str, ...]] = {}

    def lookup(self, name: str) -> tuple[str, ...]:
        """The addresses of `name`, none if the file has none."""
        if self._file.changed():
            self._names = parse(self._file.read())
        return self._names.get(canonical(name), ())

"""Files from disk, as (name, text): the only module here that reads one.

Belongs here: which files of a directory are read, and what cannot be. Never here: what is in them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cluster.errors import Problem

SUFFIXES = (".hcl", ".json")
MAX_BYTES = 32 * 1024 * 1024

Text = tuple[str, str]


def read_files(paths: Iterable[str | Path]) -> tuple[tuple[Text, ...], tuple[Problem, ...]]:
    """Name and text of every file, and why some could not be read.

    A directory stands for its `.hcl` and `.json` files in the order of their names, without those of
    directories inside it, as Consul's agents read one. Blocks: call it from a thread or at start.
    """
    texts: list[Text] = []
    problems: list[Problem] = []
    for path in paths:
        for found in _files(Path(path)):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                _read(found, texts, problems)
    return tuple(texts), tuple(problems)


def _files(path: Path) -> Iterator[Path | Problem]:
    if not path.is_dir():
        yield path
        return
    try:
        inside = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    except OSError as error:
        yield Problem(message=f"cannot be listed: {error.strerror}", file=str(path))
        return
    if not inside:
        yield Problem(message="the directory holds no .hcl or .json file", file=str(path))
    yield from (file for file in inside if not file.is_dir())


def _read(path: Path, texts: list[Text], problems: list[Problem]) -> None:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        texts.append((str(path), content.decode()))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.append(Problem(message="not UTF-8", file=str(path), line=line))
    except OSError as error:
        problems.append(Problem(message=f"cannot be read: {error.strerror}", file=str(path)))
    except ValueError as error:
        problems.append(Problem(message=str(error), file=str(path)))

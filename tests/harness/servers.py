"""Real servers on loopback, for scenarios: PostgreSQL, Redis, nginx. Each a context manager."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .programs import free_port, listens, program, wait_until


@dataclass(frozen=True)
class Server:
    """A server that accepts connections on 127.0.0.1."""

    port: int
    pid: int


@contextmanager
def running(command: list[str], port: int, log: Path, **options: object) -> Iterator[Server]:
    """Start it, wait until it listens, end it (by its process group) afterwards."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
    try:
        wait_until(f"{command[0]} listens on {port}, see {log}", lambda: listens(port), 20)
        yield Server(port, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _account() -> str | None:
    """PostgreSQL does not run as root: whom to become, or None to stay who we are."""
    return "postgres" if os.geteuid() == 0 else None


@contextmanager
def postgres(directory: Path) -> Iterator[Server]:
    """A PostgreSQL server that trusts everybody on loopback."""
    initdb, server = program("initdb", "postgresql"), program("postgres", "postgresql")
    data, account = directory / "pg", _account()
    data.mkdir()
    options: dict[str, object] = {"cwd": str(data)}
    if account is not None:
        user = pwd.getpwnam(account)
        os.chown(data, user.pw_uid, user.pw_gid)
        _open_way(data)
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    port = free_port()
    made = subprocess.run(
        [initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"],
        capture_output=True,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    assert made.returncode == 0, made.stderr
    arguments = ["-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", ""]
    arguments += ["-c", "fsync=off", "-c", "max_connections=200"]
    with running([server, *arguments], port, directory / "pg.log", **options) as started:
        yield started


def _open_way(path: Path) -> None:
    """Let another account pass through the folders above `path`."""
    for folder in path.parents:
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)


@contextmanager
def redis(directory: Path) -> Iterator[Server]:
    """A Redis server without persistence."""
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    command = [program("redis-server", "redis-server"), *arguments, "--dir", str(directory)]
    with running(command, port, directory / "redis.log") as started:
        yield started


@contextmanager
def nginx(directory: Path, server_block: str, port: int) -> Iterator[Server]:
    """An nginx with one server block, which listens on `port`."""
    binary = program("nginx", "nginx")
    config = directory / "nginx.conf"
    config.write_text(
        f"""
daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx-error.log;
worker_processes 1; user {pwd.getpwuid(os.geteuid()).pw_name};
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{ {server_block} }}
}}
"""
    )
    with running(
        [binary, "-c", str(config), "-e", str(directory / "nginx.log")],
        port,
        directory / "nginx.out",
    ) as started:
        yield started


def random_file(path: Path, size: int) -> Path:
    """A file of `size` random bytes."""
    with path.open("wb") as out:
        left = size
        while left:
            out.write(os.urandom(min(left, 1 << 20)))
            left -= min(left, 1 << 20)
    return path


__all__ = ["Server", "nginx", "postgres", "random_file", "redis", "running"]

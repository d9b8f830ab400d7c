from array import array
from collections.abc import Callable
from typing import Any

from cluster.reasons import End
from worker.relay.engine import Launch
from worker.relay.native._gates import Directory

ENDS: tuple[End | None, ...]

class Ticket:
    @property
    def keep(self) -> Any: ...
    @property
    def end(self) -> End | None: ...
    @property
    def dial_error(self) -> int: ...
    def stop(self) -> None: ...
    def __getitem__(self, at: int) -> int: ...
    on_over: Callable[[Launch], object]
    directory: Directory | None
    @property
    def counters(self) -> Ticket: ...
    @property
    def route(self) -> int: ...
    @property
    def drawn(self) -> int: ...
    @property
    def client(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def age_seconds(self) -> float: ...

class Loop:
    def __init__(
        self,
        tls: dict[str, int],
        options: tuple[tuple[int, int, int], ...],
        bounds: tuple[float, ...],
        scratch_bytes: int,
        ports: tuple[int, int] = ...,
        late_options: tuple[tuple[int, int, int], ...] = ...,
        late_ns: int = ...,
        hello_options: tuple[tuple[int, int, int], ...] = ...,
    ) -> None: ...
    @property
    def told(self) -> int: ...
    @property
    def address(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def relay(
        self,
        client: int,
        client_ssl: int,
        upstream: int,
        upstream_ssl: int,
        counters: array[int],
        idle_ns: int,
        age_ns: int,
        buffer_bytes: int,
        pipe_bytes: int,
        on_over: Callable[[Ticket], object],
        keep: object,
    ) -> Ticket: ...
    def dial(
        self,
        client: int,
        client_ssl: int,
        address: bytes,
        dial_ns: int,
        elapsed: float,
        counters: array[int],
        idle_ns: int,
        age_ns: int,
        buffer_bytes: int,
        pipe_bytes: int,
        on_over: Callable[[Ticket], object],
        keep: object,
    ) -> Ticket: ...
    def flush(self) -> None: ...
    def reap(self) -> list[Ticket]: ...
    def claim(self, most: int) -> list[Ticket]: ...
    def times(self) -> tuple[tuple[list[int], float], tuple[list[int], float]]: ...

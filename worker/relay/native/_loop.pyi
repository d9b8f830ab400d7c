from array import array
from collections.abc import Callable
from typing import Any

from cluster.reasons import End

class Ticket:
    @property
    def on_over(self) -> Callable[[Ticket], object]: ...
    @property
    def keep(self) -> Any: ...
    @property
    def end(self) -> End | None: ...
    @property
    def dial_error(self) -> int: ...
    def stop(self) -> None: ...

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
    ) -> None: ...
    @property
    def told(self) -> int: ...
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
    def times(self) -> tuple[tuple[list[int], float], tuple[list[int], float]]: ...

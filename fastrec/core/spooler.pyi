from collections.abc import Collection, Iterable, Mapping
from typing import Self

from typing_extensions import disjoint_base

from fastrec.core.ring import Ring

DURABILITY: tuple[str, ...]
FILES: tuple[str, ...]

@disjoint_base
class RestingChannel:
    def __new__(
        cls,
        *,
        dir: int,
        name: bytes,
        uuid: bytes,
        files: Mapping[str, tuple[bytes, int]],
        number: int,
        segment: int,
        kept: Collection[tuple[int, int, int]],
    ) -> Self: ...

@disjoint_base
class SpoolChannel:
    def __new__(
        cls,
        ring: Ring,
        *,
        dir: int,
        name: bytes,
        uuid: bytes,
        files: Mapping[str, tuple[bytes, int]],
        segment_rows: int,
        segment_ns: int = 0,
        zone_fields: Collection[tuple[int, str, int, bool, int, int]] = (),
        texts: Iterable[tuple[int, int]] = (),
        holds: bool = False,
        first_segment: int = 0,
        cursor: int | None = None,
        seen: tuple[int, int, int] = (0, 0, 0),
        last: int | None = None,
    ) -> Self: ...
    def marks(self) -> dict[str, int]: ...
    def drain_left(self) -> None: ...

@disjoint_base
class Spooler:
    def __new__(
        cls,
        *,
        dir: int,
        clocks: int,
        clocks_header: int,
        stats: int,
        marks: int,
        uuid: bytes,
        durability: str = "timed",
        flush_ns: int = 100_000_000,
        sync_ns: int = 1_000_000_000,
        clock_offset: int = 0,
        clock_rows: int = 0,
        stat_bytes: int = 0,
        stat_lines: int = 0,
        keep_bytes: int = 0,
        keep_ns: int = 0,
        min_free: int = 0,
        resting: Iterable[RestingChannel] = (),
    ) -> Self: ...
    @property
    def alive(self) -> bool: ...
    def begin(self) -> None: ...
    def add(self, channel: SpoolChannel) -> None: ...
    def stop(self, timeout: float = 30.0) -> bool: ...
    @property
    def scarce(self) -> bool: ...
    @property
    def marks_error(self) -> int: ...

def make_room(
    dir: int,
    resting: Collection[RestingChannel],
    *,
    keep_bytes: int,
    keep_ns: int,
    min_free: int,
    now: int,
) -> None: ...
def start_writing(fd: int, offset: int, size: int) -> None: ...
def rename_new(old: bytes, new: bytes) -> None: ...
def sync_file_system(fd: int) -> None: ...

from typing import Self

from typing_extensions import Buffer, disjoint_base

@disjoint_base
class Fetch:
    def __new__(
        cls,
        fd: int,
        offset: int,
        width: int,
        base: int,
        at: Buffer,
        rows: Buffer,
        crcs: Buffer,
        cuts: Buffer,
        memory: Buffer,
        helpers: int,
        part: tuple[int, int, int] | None = None,
        firsts: Buffer | None = None,
        stops: Buffer | None = None,
    ) -> Self: ...
    def take(self) -> tuple[int, int]: ...
    @property
    def kept(self) -> int: ...
    def gather(self, places: Buffer, rows: Buffer) -> None: ...
    def close(self) -> None: ...

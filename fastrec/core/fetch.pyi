from typing import Self

from typing_extensions import Buffer, disjoint_base

from fastrec.core.condition import Condition

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
        *,
        part: tuple[int, int] | None = None,
        changes: tuple[int, int, int] | None = None,
        states: tuple[int, int, int] | None = None,
        condition: Condition | None = None,
        firsts: Buffer | None = None,
        stops: Buffer | None = None,
        brief: tuple[int, int] | None = None,
    ) -> Self: ...
    def take(self) -> tuple[int, int]: ...
    @property
    def kept(self) -> int: ...
    def gather(self, places: Buffer, to: Buffer, offset: int, size: int) -> None: ...
    def counts(self, out: Buffer) -> None: ...
    def close(self) -> None: ...

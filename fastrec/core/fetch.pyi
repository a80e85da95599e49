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
    ) -> Self: ...
    def take(self) -> tuple[int, int]: ...
    def close(self) -> None: ...

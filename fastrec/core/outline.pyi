from typing import Self

from typing_extensions import Buffer, disjoint_base

@disjoint_base
class Ends:
    def __new__(
        cls,
        index_header: Buffer,
        header: int,
        width: int,
        gap_header: int,
        gap_width: int,
        most: int,
        numbers: int,
    ) -> Self: ...
    def of(self, folder: int, number: int, base: int) -> tuple[bytes, int] | None: ...

from collections.abc import Iterable, Mapping
from typing import Self

from typing_extensions import disjoint_base

RETURNS: tuple[str, ...]

@disjoint_base
class Getter:
    @property
    def size(self) -> int: ...

@disjoint_base
class NativeCall(Getter):
    def __new__(
        cls,
        address: int,
        args: Iterable[int],
        *,
        out: int,
        size: int,
        returns: int,
        width: int = 4,
        is_signed: bool = True,
        init: bytes | None = None,
        cells: Mapping[int, int] | None = None,
        keep: object = None,
    ) -> Self: ...

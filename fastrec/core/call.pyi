from collections.abc import Callable, Iterable, Mapping
from typing import Self

from typing_extensions import Buffer, disjoint_base

RETURNS: tuple[str, ...]
NO_OUT: int
SAME: int

@disjoint_base
class Getter:
    @property
    def size(self) -> int: ...
    def call(self) -> tuple[int, int, bytes]: ...

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

@disjoint_base
class PythonCall(Getter):
    def __new__(cls, function: Callable[[], Buffer | None], size: int) -> Self: ...
    @property
    def error(self) -> BaseException | None: ...

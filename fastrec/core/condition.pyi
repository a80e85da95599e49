from collections.abc import Sequence
from typing import Self

from typing_extensions import Buffer, disjoint_base

LANE: int
KINDS: tuple[str, ...]
RELATIONS: tuple[str, ...]
OPERATIONS: tuple[str, ...]

@disjoint_base
class Condition:
    def __new__(
        cls,
        *,
        steps: Sequence[tuple[str, int, int, int, int, int, int]],
        fields: Sequence[tuple[int, str, int, bool, int, int]],
        patterns: Buffer,
        data: bytes,
    ) -> Self: ...
    @property
    def alone(self) -> bool: ...
    def meeting(
        self,
        rows: Buffer,
        stride: int,
        starts: Buffer,
        stops: Buffer,
        out: Buffer,
        ids: Sequence[Buffer] = (),
        truths: Sequence[Buffer] = (),
        first: int = 0,
    ) -> int: ...

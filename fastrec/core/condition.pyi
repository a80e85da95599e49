from collections.abc import Sequence

from typing_extensions import Buffer

LANE: int
KINDS: tuple[str, ...]
RELATIONS: tuple[str, ...]
OPERATIONS: tuple[str, ...]

class Condition:
    def __init__(
        self,
        *,
        steps: Sequence[tuple[str, int, int, int, int, int, int]],
        fields: Sequence[tuple[int, str, int, bool, int, int]],
        patterns: Buffer,
        data: bytes,
    ) -> None: ...
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

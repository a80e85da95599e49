from typing_extensions import Buffer, disjoint_base

def changes(
    rows: Buffer, stride: int, offset: int, size: int, mask: int, starts: Buffer, stops: Buffer, out: Buffer
) -> int: ...
def silences(
    rows: Buffer, stride: int, time: int, until: int, limit: int, starts: Buffer, stops: Buffer, out: Buffer
) -> int: ...
def before(
    rows: Buffer,
    stride: int,
    time: int,
    until: int,
    starts: Buffer,
    stops: Buffer,
    times: Buffer,
    equal: bool,
    out: Buffer,
    seen: Buffer,
) -> None: ...

@disjoint_base
class Codes:
    def __len__(self) -> int: ...
    def of(self, keys: Buffer, out: Buffer) -> None: ...
    def tally(
        self,
        rows: Buffer,
        stride: int,
        offset: int,
        size: int,
        mask: int,
        starts: Buffer,
        stops: Buffer,
        counts: Buffer,
        first: Buffer,
    ) -> int: ...

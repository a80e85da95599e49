from collections.abc import Collection

from typing_extensions import Buffer

def zone_of(
    records: Buffer,
    stride: int,
    zone_fields: Collection[tuple[int, str, int, bool, int, int]],
    weight_at: int = 0,
    until_at: int | None = None,
) -> bytes: ...
def read_zones(
    fd: int,
    offset: int,
    k: int,
    columns: Buffer,
    turns: Buffer,
    base: int,
    first: int,
    out: Buffer,
    whole: Buffer,
) -> None: ...
def read_runs(
    fd: int,
    offset: int,
    k: int,
    column: int,
    turns: bool,
    base: int,
    first: int,
    place: int,
    runs: Buffer,
    known: Buffer,
) -> int: ...
def zone_runs(zones: Buffer, place: int, floating: bool, runs: Buffer, known: Buffer) -> int: ...

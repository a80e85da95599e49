from typing_extensions import Buffer

def ends(
    folder: int,
    records: bytes,
    index: bytes,
    gaps: bytes,
    strings: bytes,
    records_header: Buffer,
    index_header: Buffer,
    place: int,
    digits: int,
    width: int,
    gap_header: int,
    gap_width: int,
    base: int,
    most: int,
    numbers: int,
) -> tuple[bytes, int, int] | None: ...

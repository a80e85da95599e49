from typing_extensions import Buffer

def survey(
    index: Buffer, end: int, gap_rows: int, string_bytes: int, most: int, numbers: int, at: Buffer
) -> tuple[int, int]: ...
def search(fd: int, offset: int, count: int, base: int, member: int, value: int) -> int | None: ...
def prove(fd: int, offset: int, base: int, most: int, numbers: int, index: Buffer, at: Buffer) -> bool: ...
def pick(
    fd: int,
    offset: int,
    count: int,
    base: int,
    begin: int,
    most: int,
    numbers: int,
    starts: Buffer,
    stops: Buffer,
    index: Buffer,
    at: Buffer,
) -> int | None: ...

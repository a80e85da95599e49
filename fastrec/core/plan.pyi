from typing_extensions import Buffer

def batched(
    index: Buffer,
    at: Buffer,
    starts: Buffer,
    stops: Buffer,
    low: Buffer,
    high: Buffer,
    most: int,
    blocks: Buffer,
    crcs: Buffer,
    begins: Buffer,
    cuts: Buffer,
) -> tuple[int, int]: ...

from typing_extensions import Buffer

class Fetch:
    def __init__(
        self,
        fd: int,
        offset: int,
        width: int,
        base: int,
        at: Buffer,
        rows: Buffer,
        crcs: Buffer,
        cuts: Buffer,
        memory: Buffer,
        helpers: int,
    ) -> None: ...
    def take(self) -> tuple[int, int]: ...
    def close(self) -> None: ...

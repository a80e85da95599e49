from typing_extensions import Buffer

class Ends:
    def __new__(
        cls,
        index_header: Buffer,
        header: int,
        width: int,
        gap_header: int,
        gap_width: int,
        most: int,
        numbers: int,
    ) -> Ends: ...
    def of(self, folder: int, number: int, base: int) -> tuple[bytes, int] | None: ...

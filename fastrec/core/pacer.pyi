from typing import Self

from typing_extensions import disjoint_base

@disjoint_base
class Pacer:
    def __new__(cls, spin: int = 100_000) -> Self: ...
    @property
    def lateness(self) -> tuple[int, int, int, int, int]: ...
    def wait(self, deadline: int) -> None: ...

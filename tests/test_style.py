"""A file that outgrows its budget is two rooms in one."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastrec

PACKAGE = Path(fastrec.__file__).parent
BUDGETS = {"py": 400, "pyx": 350}

FILES = sorted(path for suffix in BUDGETS for path in PACKAGE.rglob(f"*.{suffix}"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_keeps_to_its_budget(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= BUDGETS[path.suffix[1:]]

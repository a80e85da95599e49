"""The error tree: what catches what, and what a message about an unknown name offers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import fastrec
from fastrec import errors


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (errors.SchemaError, (errors.FastrecError, ValueError)),
        (errors.ExpressionError, (errors.SchemaError,)),
        (errors.SourceError, (errors.FastrecError, RuntimeError)),
        (errors.RecordingError, (errors.FastrecError, OSError)),
        (errors.CorruptionError, (errors.RecordingError,)),
        (errors.FormatError, (errors.RecordingError,)),
    ],
)
def test_each_error_is_also_the_built_in_it_resembles(error: type, bases: tuple[type, ...]) -> None:
    for base in bases:
        with pytest.raises(base, match="bench: no such folder") as caught:
            raise error("bench: no such folder")
        assert str(caught.value) == "bench: no such folder"


def test_every_public_error_is_in_the_tree() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(classes) == 7
    assert all(issubclass(one, errors.FastrecError) for one in classes)


def test_suggest_offers_the_nearest_names() -> None:
    assert errors.suggest("sped", ["speed", "voltage"]) == "; did you mean 'speed'?"
    assert errors.suggest("x" * 100_000, ["speed", "voltage"]) == "; there is 'speed', 'voltage'"
    assert errors.suggest("q", [f"channel{i}" for i in range(10)]).endswith("'channel7' and 2 more")
    assert errors.suggest("q", []) == ""


def test_shown_is_one_short_line_whatever_the_value() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    assert errors.shown("a\nb") == r"'a\nb'"
    assert errors.shown(np.zeros((9, 9))).startswith("array([[0., 0., 0., 0.,")
    assert errors.shown(10**10_000) == "<int>" and errors.shown(Rude()) == "<Rude>"
    for value in (np.zeros((9, 9)), "x" * 10_000, ["\n"] * 100):
        assert len(errors.shown(value)) == 80 and "\n" not in errors.shown(value)


def test_nothing_asks_for_the_package_of_this_name_on_pypi() -> None:
    """It is another project's; what is missing is named itself."""
    package = Path(fastrec.__file__).parent
    files = [path for suffix in ("py", "pyx", "pyi", "h", "md") for path in package.rglob(f"*.{suffix}")]
    asked = re.compile(
        r"pip3? install(?: -\S+)* ['\"]?fastrec\b|fastrec\[(?:cli|dwarf|pandas|test|bench|lint)\]"
    )
    assert len(files) > 100
    for path in [*files, Path(__file__).parents[1] / "README.md"]:
        assert not asked.search(path.read_text()), path

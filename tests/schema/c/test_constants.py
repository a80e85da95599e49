"""Constant expressions, against gcc."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from fastrec.errors import SchemaError
from fastrec.schema.abi import ABIS
from fastrec.schema.c.declarations import Declarations

NATIVE = ABIS["sysv-x64"]
LITERALS = ["0", "1", "7", "0x80000000", "4294967295", "2147483647", "017", "0b101", "3u", "5L", "9ULL",
            "'A'",
            "'\\n'", "'\\xff'", "'ab'", "sizeof(int)", "sizeof(long long)", "_Alignof(double)", "(char)300",
            "(unsigned char)-1", "(short)0x12345", "(_Bool)7", "(unsigned)-1", "(long)-1"]  # fmt: skip
OPERATORS = [*"|^&<>+-*/%", "||", "&&", "==", "!=", "<=", ">=", "<<", ">>"]


def expression(rng: random.Random, depth: int) -> str:
    kind = rng.random()
    if depth == 0 or kind < 0.15:
        return rng.choice(LITERALS)
    if kind < 0.3:
        return f"{rng.choice(['-', '+', '~', '!', '(unsigned)', '(long)'])} {expression(rng, depth - 1)}"
    if kind < 0.4:
        return " ".join(
            (expression(rng, depth - 1), "?", expression(rng, depth - 1), ":", expression(rng, depth - 1))
        )
    text = f"{expression(rng, depth - 1)} {rng.choice(OPERATORS)} {expression(rng, depth - 1)}"
    return f"({text})" if rng.random() < 0.5 else text


def ours(text: str) -> int | str:
    """The low 32 bits, told by the value of an enumerator; or what is wrong."""
    try:
        read = Declarations(f"enum e {{ e_ = ({text}) & 0xffffffffu }};", abi=NATIVE)
        if read.tags["e"].error:
            raise read.tags["e"].error
        return read.enumerators["e_"].value
    except SchemaError as error:
        return str(error)


def test_every_value_is_gcc_s(tmp_path: Path) -> None:
    rng = random.Random(7)
    texts = [expression(rng, 4) for _ in range(3000)]
    found = {text: ours(text) for text in texts}
    known = [text for text, value in found.items() if isinstance(value, int)]
    assert len(known) > 0.4 * len(found)
    source = tmp_path / "values.c"
    source.write_text(
        "".join(f"const unsigned v{i} = ({text}) & 0xffffffffu;\n" for i, text in enumerate(known))
    )
    done = subprocess.run(
        ["gcc", "-w", "-S", "-O0", "-o", "-", source], capture_output=True, text=True, check=True
    )
    values = {
        int(name): int(value) & 0xFFFFFFFF if kind == "long" else 0
        for name, kind, value in re.findall(
            r"^v(\d+):\n\s+\.(long|zero)\s+(-?\d+)", done.stdout, re.MULTILINE
        )
    }
    assert [values[i] for i in range(len(known))] == [found[text] for text in known]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "divides by zero"),
        ("1 % (2 - 2)", "divides by zero"),
        ("2147483647 + 1", "cannot hold"),
        ("-2147483647 - 2", "cannot hold"),
        ("1 << 32", "shifts by 32"),
        ("1 >> -1", "shifts by -1"),
        ("1.5", "no integer constant"),
        ("089", "no integer constant"),
        ("1lL", "no integer constant"),
        ("0x1ffffffffffffffff", "64 bits"),
        ("nothing", "no constant"),
        ("(int *)0", "gives no integer"),
        ("1 +", "expected"),
        ("'abcde'", "four"),
    ],
)
def test_what_has_no_value_is_refused(text: str, said: str) -> None:
    value = ours(text)
    assert isinstance(value, str)
    assert said in value
    assert value.startswith("line 1, column ")


@pytest.mark.parametrize("text", ["0 && 1 / 0", "1 || 1 / 0", "1 ? 2 : 1 / 0", "0 ? 1 / 0 : 2"])
def test_what_is_not_asked_for_may_be_wrong(text: str) -> None:
    assert isinstance(ours(text), int)

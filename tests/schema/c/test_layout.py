"""Structs are laid out as compilers do it, whatever they are made of."""

# ruff: noqa: T201
from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest
from agreement import disagreements, disagreements_with_cffi
from compilers import COMPILERS
from hypothesis import HealthCheck, Phase, given, settings
from structs import TRAITS, choices, made_of

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

COUNT = 20_000
BATCH = 200


@pytest.fixture(scope="module")
def drawn() -> list[bytes]:
    """The same structs every time, no two alike, as the choices they are made of."""
    found: dict[str, bytes] = {}

    @settings(
        max_examples=5 * COUNT // 4,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(choices())
    def collect(one: bytes) -> None:
        if len(found) < COUNT:
            found.setdefault(made_of(one).text("S"), one)

    collect()
    return list(found.values())


def test_the_structs_are_of_every_kind(drawn: list[bytes], capsys: pytest.CaptureFixture[str]) -> None:
    structs = [made_of(one) for one in drawn]
    having = Counter(trait for struct in structs for trait in struct.traits())
    with capsys.disabled():
        shares = ", ".join(f"{trait} {having[trait] / len(structs):.0%}" for trait in TRAITS)
        print(f"\n{len(structs)} different structs: {shares}")
    assert len(structs) == COUNT
    assert all(having[trait] >= len(structs) / 10 for trait in TRAITS)


def batches(drawn: list[bytes]) -> list[list[bytes]]:
    return [drawn[start : start + BATCH] for start in range(0, len(drawn), BATCH)]


def test_layouts_are_those_of_the_compilers(drawn: list[bytes]) -> None:
    tasks = [(abi, batch) for batch in batches(drawn) for abi in COMPILERS]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        found = [one for some in pool.map(disagreements, *zip(*tasks, strict=True)) for one in some]
    assert not found, "\n".join(found[:5])


def test_layouts_are_those_of_cffi(drawn: list[bytes], capsys: pytest.CaptureFixture[str]) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        counts, found = zip(*pool.map(disagreements_with_cffi, batches(drawn)), strict=True)
    with capsys.disabled():
        print(f"\n{sum(counts)} of {len(drawn)} structs are declared to cffi")
    wrong = [one for some in found for one in some]
    assert not wrong, "\n".join(wrong[:5])
    assert sum(counts) > 3000

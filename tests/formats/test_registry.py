from importlib.metadata import EntryPoint

import pytest

from fastrec.errors import FormatError
from fastrec.formats import csv, jsonl, npy, npz, pandas_, registry
from fastrec.records import exits

BUILT_IN = {
    registry.FORMATS: {name: f"fastrec.formats.{name}:write" for name in ("csv", "jsonl", "npy", "npz")},
    registry.CONVERSIONS: {"pandas": "fastrec.formats.pandas_:convert"},
}


@pytest.fixture
def installed(monkeypatch):
    """Entry points as an installed fastrec declares them, and some of another distribution that is broken."""

    def entry_points(group):
        broken = {"gone": "fastrec_no_such:write", "bad": "fastrec.errors:write"}
        return [EntryPoint(name, value, group) for name, value in (BUILT_IN[group] | broken).items()]

    monkeypatch.setattr(exits, "entry_points", entry_points)


def test_known(installed):
    assert registry.known()["npy"] == "fastrec.formats.npy:write"
    assert list(registry.known()) == ["bad", "csv", "gone", "jsonl", "npy", "npz"]


@pytest.mark.parametrize(
    ("path", "write"),
    [("a.npy", npy.write), ("x.y/A.CSV", csv.write), ("b.npz", npz.write), ("c.jsonl", jsonl.write)],
)
def test_writer(installed, path, write):
    assert registry.writer(path) is write


def test_converter(installed):
    assert registry.converter("pandas") is pandas_.convert
    with pytest.raises(FormatError, match=r"to_arrow\(\).*there is to_bad, to_gone, to_pandas"):
        registry.converter("arrow")
    with pytest.raises(FormatError, match=r"to_gone\(\).*fastrec_no_such:write does not load"):
        registry.converter("gone")


@pytest.mark.parametrize("path", ["a.parquet", "a", ".npy", "a.npy.gz", "folder.npy/a"])
def test_unknown_suffixes_list_the_known_ones(installed, path):
    with pytest.raises(FormatError, match=r"\.bad, \.csv, \.gone, \.jsonl, \.npy, \.npz"):
        registry.writer(path)


@pytest.mark.parametrize("path", ["a.gone", "a.bad"])
def test_a_format_that_does_not_load_says_which(installed, path):
    with pytest.raises(FormatError, match="does not load"):
        registry.writer(path)


def test_nothing_installed_says_so(monkeypatch):
    monkeypatch.setattr(exits, "entry_points", lambda group: [])
    with pytest.raises(FormatError, match="not installed"):
        registry.writer("a.npy")
    with pytest.raises(FormatError, match="not installed"):
        registry.converter("pandas")


@pytest.mark.parametrize("group", BUILT_IN)
def test_the_installed_package_declares_the_built_in_ones(group):
    """Needs the package to be installed, as every test of an entry point does."""
    declared = {entry.name: entry.value for entry in exits.entry_points(group=group)}
    assert BUILT_IN[group].items() <= declared.items()

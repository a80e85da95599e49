from importlib.metadata import EntryPoint

import pytest

from fastrec.errors import FormatError
from fastrec.formats import csv, npy, registry
from fastrec.records import exits

BUILT_IN = (
    EntryPoint("npy", "fastrec.formats.npy:write", registry.GROUP),
    EntryPoint("csv", "fastrec.formats.csv:write", registry.GROUP),
)


@pytest.fixture
def installed(monkeypatch):
    """Entry points as an installed fastrec declares them, and some of another distribution that is broken."""

    def entry_points(group):
        broken = [
            EntryPoint("gone", "fastrec_no_such:write", group),
            EntryPoint("bad", "fastrec.errors:write", group),
        ]
        return [*BUILT_IN, *broken] if group == "fastrec.formats" else []

    monkeypatch.setattr(exits, "entry_points", entry_points)


def test_known(installed):
    assert registry.known()["npy"] == "fastrec.formats.npy:write"
    assert list(registry.known()) == ["bad", "csv", "gone", "npy"]


@pytest.mark.parametrize(("path", "write"), [("a.npy", npy.write), ("x.y/A.CSV", csv.write)])
def test_writer(installed, path, write):
    assert registry.writer(path) is write


@pytest.mark.parametrize("path", ["a.parquet", "a", ".npy", "a.npy.gz", "folder.npy/a"])
def test_unknown_suffixes_list_the_known_ones(installed, path):
    with pytest.raises(FormatError, match=r"\.bad, \.csv, \.gone, \.npy"):
        registry.writer(path)


@pytest.mark.parametrize("path", ["a.gone", "a.bad"])
def test_a_format_that_does_not_load_says_which(installed, path):
    with pytest.raises(FormatError, match="does not load"):
        registry.writer(path)


def test_nothing_installed_says_so(monkeypatch):
    monkeypatch.setattr(exits, "entry_points", lambda group: [])
    with pytest.raises(FormatError, match="not installed"):
        registry.writer("a.npy")


def test_the_installed_package_declares_the_built_in_formats():
    """Needs the package to be installed, as every test of an entry point does."""
    known = registry.known()
    assert {name: known.get(name) for name in ("npy", "csv")} == {
        entry.name: entry.value for entry in BUILT_IN
    }

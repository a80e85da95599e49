"""What the command line says of sources."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from fastrec.cli import sources

Run = Callable[..., str]


def named(*arguments: str) -> list[tuple[str, str, str | None]]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    sources.add_arguments(parser)
    return [(one.channel, one.source, one.rate) for one in parser.parse_args(arguments).sources]


@pytest.mark.parametrize(
    ("text", "channel", "source", "rate"),
    [
        ("linux:rusage", "rusage", "linux:rusage", None),
        ("linux:rusage@100", "rusage", "linux:rusage", "100"),
        ("linux:rusage@1/3", "rusage", "linux:rusage", "1/3"),
        ("cpu=linux:rusage@max", "cpu", "linux:rusage", "max"),
        ("linux:tcp_info:5", "tcp_info", "linux:tcp_info:5", None),
        ("linux:fstat:/var/log/syslog", "fstat", "linux:fstat:/var/log/syslog", None),
        ("log=linux:fstat:/var/log/syslog@10", "log", "linux:fstat:/var/log/syslog", "10"),
        ("linux:fstat:/a=b", "fstat", "linux:fstat:/a=b", None),
        ("x=linux:fstat:/a=b@c", "x", "linux:fstat:/a=b@c", None),
        ("linux:fstat:/a@2@10", "fstat", "linux:fstat:/a@2", "10"),
        ("linux:fstat:/a@", "fstat", "linux:fstat:/a@", None),
        ("linux:fstat:C:/x:y", "fstat", "linux:fstat:C:/x:y", None),
    ],
)
def test_forms(text: str, channel: str, source: str, rate: str | None) -> None:
    assert named(text) == [(channel, source, rate)]


@pytest.mark.parametrize(
    "text", ["", "=", "@", "x=", "x=@5", "linux:rusage@", "a=b=c", "linux:rusage@1@2", "a b=c"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="is no source"):
        named(text)


def test_rates_are_told_apart_from_names() -> None:
    with pytest.raises(argparse.ArgumentError, match="'fast' is no rate"):
        named("linux:rusage@fast")


def test_an_option_that_nobody_takes(refused: Run) -> None:
    line = refused(2, "record", "linux:rusage", "--rate", "9", "--url", "http://127.0.0.1/")
    assert "--url is for none of these sources" in line


@pytest.mark.parametrize("text", ["bench.py", "./a:b.py", "/x/a=b@c.py", "a=b.py", ".py"])
def test_files_of_python(text: str) -> None:
    parser = argparse.ArgumentParser()
    sources.add_arguments(parser)
    assert str(sources.file_of(parser.parse_args([text]))) == text.removeprefix("./")


@pytest.mark.parametrize("text", ["linux:fstat:/a/b.py", "x=linux:fstat:b.py", "a:b.py", "bench.py@100"])
def test_sources_that_end_like_one(text: str) -> None:
    parser = argparse.ArgumentParser()
    sources.add_arguments(parser)
    assert sources.file_of(parser.parse_args([text])) is None

"""Signals that ask a command to end."""

from __future__ import annotations

import signal

import pytest

from fastrec.cli.ending import Ending


def test_signals_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Ending() as ending:
        assert ending.signal is None
        signal.raise_signal(signal.SIGTERM)
        assert ending.signal == signal.SIGTERM
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_stranger_is_interrupted_and_we_are_not() -> None:
    with Ending() as ending:
        with pytest.raises(KeyboardInterrupt), ending.interrupting():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert ending.signal == signal.SIGINT


def test_an_heir_is_told_of_every_signal() -> None:
    told: list[int] = []
    with Ending() as ending:
        ending.heir = told.append
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert told == [signal.SIGTERM, signal.SIGINT] and ending.signal == signal.SIGINT

"""What a command line says of every channel, for a recorder whose channels may each say something else."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastrec.channel import Channel
from fastrec.cli import values
from fastrec.cli.values import Misuse
from fastrec.errors import SchemaError, SourceError
from fastrec.recorder import Recorder
from fastrec.schema import Schema
from fastrec.schema.states import fields_below
from fastrec.sources import registry
from fastrec.sources.source import Source
from fastrec.threads import Thread

__all__ = ["CommandRecorder", "add_arguments", "said"]

_OF_ALL = ("capacity", "when_full", "lock_memory")
_OF_POLLED = ("rate", "store", "heartbeat", "spin", "clock", "realtime", "affinity")
_OF_THREADS = ("realtime", "affinity")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of channels. What is not given is None, and left to `Recorder.add`."""
    parser.add_argument(
        "--rate", type=values.rate, metavar="HZ", help='polls a second: 1000, 0.1, 1/3, or "max": flat out'
    )
    parser.add_argument(
        "--capacity",
        type=values.capacity,
        metavar="N|TIME",
        help='of the ring: records, or a duration such as "10s"',
    )
    parser.add_argument(
        "--when-full",
        choices=("overwrite", "drop"),
        help="what gives way when the disk is too slow: the oldest records (default) or the new ones",
    )
    parser.add_argument(
        "--store",
        choices=("every", "changes"),
        help="a record for every poll (default), or for every change and how long it lasted",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field, or a struct of them, that may differ without being a change; needs --store changes",
    )
    parser.add_argument(
        "--heartbeat",
        type=values.time,
        metavar="TIME",
        help="how often a state that lasts is put down; default 1s; needs --store changes",
    )
    parser.add_argument(
        "--spin",
        type=values.spin,
        metavar="auto|0|TIME",
        help="how long before a deadline sleep ends; default auto: a tenth of the period, at most 100us",
    )
    parser.add_argument(
        "--clock",
        choices=("monotonic", "tsc"),
        help="what stamps: the system's clock (default), or the processor's counter, which costs less",
    )
    parser.add_argument(
        "--realtime",
        type=values.priority,
        nargs="?",
        const=True,
        metavar="N",
        help="poll with real-time priority N, 1 to 50 (default 10); the system may refuse it, which is told",
    )
    parser.add_argument(
        "--affinity",
        type=values.processors,
        metavar="LIST",
        help="processors to poll on, such as 1 or 0,2-3; the system may refuse it, which is told",
    )
    parser.add_argument(
        "--lock-memory",
        action="store_true",
        default=None,
        help="keep the rings in memory; the system may refuse it, which is told",
    )


def said(options: argparse.Namespace) -> dict[str, Any]:
    """The options of channels that were given, as `Recorder.add` calls them.

    Raises
    ------
    Misuse
        They make no sense together.
    """
    for name in ("ignore", "heartbeat"):
        if getattr(options, name) and options.store != "changes":
            raise Misuse(f"--{name} needs --store changes; every poll is recorded otherwise")
    given = {name: getattr(options, name) for name in (*_OF_ALL, *_OF_POLLED, "ignore")}
    return {name: value for name, value in given.items() if value is not None}


class CommandRecorder(Recorder):
    """A recorder that a command starts and ends, and whose channels take from it what they do not say.

    Parameters
    ----------
    path : path
    usual : mapping
        Of `said`.
    **options
        As of `Recorder`.

    Attributes
    ----------
    lent : bool
        Somebody else's code fills it, and may neither start nor stop it.
    stopped : bool
        It was stopped, by the command or by somebody else.
    """

    def __init__(self, path: str | os.PathLike[str], usual: Mapping[str, Any], **options: Any) -> None:
        super().__init__(path, **options)
        self._usual = dict(usual)
        self._paths: list[str] = self._usual.pop("ignore", [])
        self._unknown: dict[str, SchemaError] = {}
        self._met: set[str] = set()
        self._decided: set[str] = set()
        self.lent = self.stopped = False

    def add(self, name: str, source: Any = None, **asked: Any) -> Channel:
        """As `Recorder.add`; what is said here goes before what the command line says."""
        if isinstance(source, str):
            source = registry.source(source)
        channel = super().add(name, source, **self._of_command(source, asked) | asked)
        if source is not None:
            self._decided.add(channel.options.thread)
        return channel

    def _of_command(self, source: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
        names = set(_OF_ALL if source is None else (*_OF_ALL, *_OF_POLLED))
        # Of a thread its first channel decides, or whoever made it: the others take what it has.
        alone = getattr(source, "needs_gil", False)
        if not alone and asked.get("thread", "main") in self._decided:
            names -= {*_OF_THREADS}
        usual = {name: value for name, value in self._usual.items() if name in names}
        holds = asked.get("store", usual.get("store")) == "changes"
        if holds and "ignore" not in asked and self._paths:
            usual["ignore"] = self._ignored(getattr(source, "schema", None))
        return usual

    def _ignored(self, schema: Schema | None) -> list[str]:
        found: list[str] = []
        for path in self._paths if schema is not None else ():
            try:
                found += [field.name for field in fields_below(schema, path)]
                self._met.add(path)
            except SchemaError as error:
                self._unknown.setdefault(path, error)
        return found

    def check_ignored(self) -> None:
        """Refuse an ``--ignore`` that no channel had.

        Raises
        ------
        SchemaError
            As the first channel told it.
        """
        for path in self._paths:
            if path not in self._met:
                raise self._unknown.get(path) or SchemaError(
                    f"--ignore {path}: no channel took it; all of them say themselves what they ignore"
                )

    def thread(
        self,
        name: str,
        *,
        start: Sequence[Source] = (),
        stop: Sequence[Source] = (),
        realtime: bool | int | None = None,
        affinity: int | Iterable[int] | None = None,
    ) -> Thread:
        """As `Recorder.thread`; a new one takes from the command line what is not said here."""
        asked = {"realtime": realtime, "affinity": affinity}
        if start or stop or any(value is not None for value in asked.values()):
            usual = {key: self._usual.get(key) for key in asked}
            asked = {key: usual[key] if value is None else value for key, value in asked.items()}
            self._decided.add(name)
        return super().thread(name, start=start, stop=stop, **asked)

    def start(self) -> None:
        """As `Recorder.start`, for the command alone."""
        self._check_not_lent("start")
        super().start()

    def stop(self) -> None:
        """As `Recorder.stop`; after it the command ends."""
        self._check_not_lent("stop")
        self.stopped = True
        super().stop()

    def _check_not_lent(self, verb: str) -> None:
        if self.lent:
            raise SourceError(f"this recorder is not yours to {verb}: fastrec record does that; leave it out")

"""fastrec: a flight recorder for C status structs."""

from pathlib import Path

from fastrec.errors import (
    CorruptionError,
    ExpressionError,
    FastrecError,
    FormatError,
    RecordingError,
    SchemaError,
    SourceError,
)
from fastrec.recorder import Recorder
from fastrec.recording.reader import open
from fastrec.recording.recovering.recover import recover
from fastrec.records import Records, align
from fastrec.records.comparing import diff
from fastrec.replay import Player
from fastrec.ring import Ring
from fastrec.schema import LOST, Field, HResult, Masked, Schema
from fastrec.sources import INOUT, OUT, Call, ComMethod, PyCall, linux

__version__ = "0.1.0"

__all__ = [
    "INOUT",
    "LOST",
    "OUT",
    "Call",
    "ComMethod",
    "CorruptionError",
    "ExpressionError",
    "FastrecError",
    "Field",
    "FormatError",
    "HResult",
    "Masked",
    "Player",
    "PyCall",
    "Recorder",
    "RecordingError",
    "Records",
    "Ring",
    "Schema",
    "SchemaError",
    "SourceError",
    "align",
    "diff",
    "get_include",
    "linux",
    "open",
    "recover",
]


def get_include() -> str:
    """The folder to give a C compiler, for ``#include <fastrec/ring.h>``."""
    return str(Path(__file__).parent / "include")

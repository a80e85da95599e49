"""The recording: a folder of plain ``.npy`` files and lines of JSON, read without trust (FORMAT.md)."""

from fastrec.recording.reader import Recording, open
from fastrec.recording.recovery import ChannelRecovery, Lost, Recovery, Torn
from fastrec.recording.report import ChannelReport, Report

__all__ = [
    "ChannelRecovery",
    "ChannelReport",
    "Lost",
    "Recording",
    "Recovery",
    "Report",
    "Torn",
    "open",
]

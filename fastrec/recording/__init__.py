"""The recording: a folder of plain ``.npy`` files and lines of JSON, read without trust (FORMAT.md)."""

from fastrec.recording.reader import Recording, open
from fastrec.recording.verify import ChannelReport, Report

__all__ = ["ChannelReport", "Recording", "Report", "open"]

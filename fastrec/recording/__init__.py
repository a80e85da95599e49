"""The recording: a folder of plain ``.npy`` files and lines of JSON (FORMAT.md), written once, read without trust."""

from fastrec.recording.reader import Recording, open
from fastrec.recording.verify import ChannelReport, Report

__all__ = ["ChannelReport", "Recording", "Report", "open"]

"""Replay: the past again, at the pace at which it happened."""

from fastrec.replay.pacing import Pacing, Report, as_speed
from fastrec.replay.player import Player

__all__ = ["Pacing", "Player", "Report", "as_speed"]

"""Records: what was recorded, and the questions one asks about it."""

from fastrec.records.aligning import align
from fastrec.records.chunks import ArrayChunk, Chunk
from fastrec.records.records import Records

__all__ = ["ArrayChunk", "Chunk", "Records", "align"]

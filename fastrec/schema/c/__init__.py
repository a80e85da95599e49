"""C declarations: what they say, and where compilers put it."""

from fastrec.schema.c.build import meanings_of, struct_of
from fastrec.schema.c.declarations import parse

__all__ = ["meanings_of", "parse", "struct_of"]

"""C declarations: what they say, and where compilers put it."""

from fastrec.schema.c.build import meanings_of, struct_of
from fastrec.schema.c.declarations import parse
from fastrec.schema.c.macros import macro_name

__all__ = ["macro_name", "meanings_of", "parse", "struct_of"]

"""Structs of compiled programs: what their debug information says of them. Needs the extra ``dwarf``."""

from fastrec.schema.dwarf.files import record_from_dwarf

__all__ = ["record_from_dwarf"]

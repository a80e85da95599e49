"""Formats: exits from fastrec, one file each, reached by entry points."""

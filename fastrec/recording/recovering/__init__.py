"""Recovering a recording: what is whole of a damaged one, block by block, and a list of what is not."""

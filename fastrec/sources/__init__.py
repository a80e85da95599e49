"""Where payloads come from: C calls, and the getters that are built in."""

from fastrec.sources.call import INOUT, OUT, Call, ComMethod

__all__ = ["INOUT", "OUT", "Call", "ComMethod"]

"""Where payloads come from: C calls, Python functions, and the getters that are built in."""

from fastrec.sources.call import INOUT, OUT, Call, ComMethod
from fastrec.sources.pycall import PyCall

__all__ = ["INOUT", "OUT", "Call", "ComMethod", "PyCall"]

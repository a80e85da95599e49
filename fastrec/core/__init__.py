"""The compiled core: rings, threads, kernels. It knows bytes and counters, never meaning."""

from importlib.util import find_spec

if find_spec("fastrec.core.ring") is None:
    raise ImportError(
        "this fastrec is a source folder that was not built, and hides an installed one;"
        " run Python in another folder, or build it here: pip install -e ."
    )

"""The compiled core: one extension per file of fastrec/core, all built alike."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "embedsignature": True,
    "binding": True,
}

# FASTREC_CFLAGS adds to the compiler's line: sanitizers, coverage, -Og.
EXTRA = os.environ.get("FASTREC_CFLAGS", "").split()

extensions = [
    Extension(
        f"fastrec.core.{source.stem}",
        [source.as_posix()],
        include_dirs=["fastrec/include"],
        depends=[header.as_posix() for header in Path("fastrec/include/fastrec").glob("*.h")],
        # No fused multiply and add: the physical value of a field is the one that NumPy computes.
        extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-fvisibility=hidden", "-ffp-contract=off", *EXTRA],
        extra_link_args=EXTRA,
        libraries=["pthread", "dl"],
    )
    for source in sorted(Path("fastrec/core").glob("*.pyx"))
]

setup(
    ext_modules=cythonize(extensions, compiler_directives=DIRECTIVES),
    options={"build_ext": {"parallel": len(os.sched_getaffinity(0))}},
)

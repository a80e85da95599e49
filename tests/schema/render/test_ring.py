"""The constant of a producer: compiled against ``fastrec/ring.h``, and printed by a program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from programs import FLAGS, INCLUDE

from fastrec import wmdrm
from fastrec.schema import Schema
from fastrec.sources import registry

PRINTS = """
#include <stdio.h>
int main(void)
{
    fwrite(SCHEMA.digest, 16, 1, stdout);
    fwrite(&SCHEMA.payload_size, 4, 1, stdout);
    fwrite(&SCHEMA.texts, 4, 1, stdout);
    fwrite(&SCHEMA.json_size, 8, 1, stdout);
    fputs(SCHEMA.json, stdout);
    return SIZE != SCHEMA.payload_size;
}
"""
HARD = Schema.from_dtype([("a", "<i4"), ("b", "V65000")], name="motor status").with_field(
    "a", doc='??/ what??? "quoted" \\ and \x01\n*/ é ' + "x" * 60_000, unit="%d"
)


@pytest.mark.parametrize("compiler", ["gcc -std=gnu11 -x c", "g++ -std=gnu++17 -x c++"])
def test_a_program_has_the_schema(compiler: str, tmp_path: Path) -> None:
    cases = {
        "WM_INDIVIDUALIZE_STATUS": wmdrm.schema(64),
        "rusage": registry.source("linux:rusage").schema,
        "motor_status": HARD,
    }
    for name, schema in cases.items():
        source = schema.to("ring") + PRINTS.replace("SCHEMA", f"{name}_schema").replace(
            "SIZE", f"{name}_size"
        )
        program = tmp_path / name
        subprocess.run(
            [*compiler.split(), *FLAGS, f"-I{INCLUDE}", "-o", program, "-"],
            input=source,
            text=True,
            check=True,
        )
        said = subprocess.run([program], capture_output=True, check=True).stdout
        assert said[:16].hex() == schema.digest
        assert np.frombuffer(said[16:24], "<u4").tolist() == [schema.size, len(schema.texts)]
        assert int.from_bytes(said[24:32], "little") == len(schema.to_json())
        assert said[32:].decode() == schema.to_json()

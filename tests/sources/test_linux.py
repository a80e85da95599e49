"""The built-in getters of Linux by name, and on kernels that are not this one."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from programs import build

import fastrec as fr
from fastrec.sources.registry import source


class TestNames:
    @pytest.mark.parametrize("name", ["rusage", "sysinfo", "timex"])
    def test_without_argument(self, name: str) -> None:
        found, direct = source(f"linux:{name}"), getattr(fr.linux, name)()
        assert isinstance(found, fr.Call) and found.schema is direct.schema
        assert list(found.read()) == [field.name for field in found.schema.fields]

    def test_with_argument(self, tmp_path: Path) -> None:
        """What follows the second colon is the argument, whatever is in it."""
        path = tmp_path / "a:b"
        path.write_bytes(bytes(7))
        assert source(f"linux:fstat:{path}").read()["st_size"] == 7
        with socket.create_server(("127.0.0.1", 0)) as listener:
            read = source(f"linux:tcp_info:{listener.fileno()}").read()
        assert read["tcpi_state"] == "TCP_LISTEN"

    @pytest.mark.parametrize(
        ("name", "complaint"),
        [
            ("linux:rusgae", "linux has no getter 'rusgae'; did you mean 'rusage'?"),
            ("linux:", "linux has no getter ''; there is 'rusage', 'sysinfo', 'timex', 'fstat', 'tcp_info'"),
            ("linux:fsat:/etc", "linux has no getter 'fsat'; did you mean 'fstat'?"),
            ("linux:timex:3", "linux:timex takes no argument; write linux:timex"),
            ("linux:timex:", "linux:timex takes no argument; write linux:timex"),
            ("linux:fstat", "linux:fstat needs an argument; write linux:fstat:PATH"),
            ("linux:fstat:", "linux:fstat needs an argument; write linux:fstat:PATH"),
            ("linux:tcp_info", "linux:tcp_info needs an argument; write linux:tcp_info:FD"),
            ("linux:tcp_info:six", "linux:tcp_info:six: 'six' is no descriptor; write its number"),
            ("linux:tcp_info:-1", "linux:tcp_info:-1: '-1' is no descriptor; write its number"),
            ("linux:tcp_info:\u0663", "linux:tcp_info:\u0663: '\u0663' is no descriptor; write its number"),
            ("linux:tcp_info:" + "9" * 5000, "is no descriptor; write its number"),
            ("linux:tcp_info:4294967295", "4294967295 is closed or no descriptor; pass an open TCP socket"),
            ("linux:tcp_info:999999", "descriptor 999999 is not open; pass that of a TCP socket"),
        ],
    )
    def test_refused(self, name: str, complaint: str) -> None:
        with pytest.raises(fr.SourceError) as caught:
            source(name)
        assert str(caught.value).endswith(complaint) and "\n" not in str(caught.value)

    def test_need_one_import(self) -> None:
        program = "import fastrec as fr; print(fr.linux.sysinfo().read()['mem_unit'] > 0)"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
        )
        assert (done.stdout, done.stderr) == ("True\n", "")

    def test_a_machine_whose_struct_stat_is_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(platform, "machine", lambda: "aarch64")
        with pytest.raises(fr.SourceError, match=r"x86_64 only, and this is aarch64; pass fstat to Call"):
            fr.linux.fstat("/")


OTHER_KERNEL = """
import json, os, socket, sys
import fastrec as fr

def recorded(path, source):
    with fr.Recorder(path) as rec:
        channel = rec.add("c", source, rate="max")
        while channel.stats.slots < 500:
            pass
    stats = channel.stats
    return fr.open(path)["c"], [stats.failed, stats.recorded == stats.slots]

folder, found = sys.argv[1], {}
for unit in (0, 1, 4096):
    os.environ["MEM_UNIT"] = str(unit)
    found[f"memory {unit}"] = fr.linux.sysinfo().read()

records, found["set"] = recorded(f"{folder}/timex.fastrec", fr.linux.timex())
found["clock"] = {name: records.decode()[name].tolist()[-1] for name in ("status", "freq")}

with socket.create_server(("127.0.0.1", 0)) as listener:
    for size in map(int, sys.argv[2:]):
        os.environ["TCP_INFO_BYTES"] = str(size)
        source = fr.linux.tcp_info(listener)
        records, counts = recorded(f"{folder}/{size}.fastrec", source)
        row = records.to_numpy()[-1]
        more = row["tcpi_more"].tobytes().hex() if "tcpi_more" in row.dtype.names else ""
        found[size] = [source.schema.size, counts, int(row["tcpi_state"]), more]
    os.environ["TCP_INFO_BYTES"] = "0"
    try:
        fr.linux.tcp_info(listener)
    except fr.SourceError as error:
        found["silent"] = str(error)
print(json.dumps(found))
"""

SIZES = (104, 192, 232, 248, 280, 281, 300)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the getters make of kernels that answer otherwise."""
    folder = tmp_path_factory.mktemp("kernels")
    library = build(folder, "kernels.c", "-shared", "-fPIC")
    done = subprocess.run(
        [sys.executable, "-c", OTHER_KERNEL, folder, *map(str, SIZES)],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


class TestOtherKernels:
    def test_memory_in_units(self, elsewhere: dict) -> None:
        """Physical values are bytes, whatever the kernel counts in; one that does not say counts bytes."""
        for unit in (0, 1, 4096):
            read = elsewhere[f"memory {unit}"]
            assert (read["totalram"], read["freeram"]) == (3 * (unit or 1), 2 * (unit or 1))
            assert read["mem_unit"] == unit and read["loads"] == [1.5, 0.0, 0.0]

    def test_the_clock_is_never_set(self, elsewhere: dict) -> None:
        """Whatever a call leaves in ``modes``, the next one begins with 0; a leap second is no failure."""
        assert elsewhere["set"] == [0, True]
        assert elsewhere["clock"] == {"status": "STA_INS|STA_NANO", "freq": -0.5}

    @pytest.mark.parametrize("size", SIZES)
    def test_tcp_info_of_any_size(self, elsewhere: dict, size: int) -> None:
        known = min(size, 280)
        assert elsewhere[str(size)] == [size, [0, True], 10, "a5" * (size - known)]

    def test_tcp_info_of_no_size(self, elsewhere: dict) -> None:
        assert "the kernel tells nothing of descriptor" in elsewhere["silent"]

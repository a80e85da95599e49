"""Recordings by a forger, who knows every checksum: a clear error, in little memory and time, and no more.

Each is opened in a process of its own, of bounded address space and time, by all the ways in that there are.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from recording import samples, writer
from recording.samples import START_NS, status

from fastrec.errors import SchemaError
from fastrec.recording import layout
from fastrec.schema import Schema

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

TIB = 1 << 40
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e\u2066\u2028\x00\x7f"
SECRET = b"of nobody's business"
STATUS = "channels/status/"

# A fork is cheap, a start of Python is not: each recording has a fork of a process that has imported all.
ZYGOTE = r"""
import contextlib, io, json, os, resource, signal, sys, traceback
import numpy as np
import fastrec as fr
import fastrec.formats.jsonl
from fastrec import cli
from fastrec.cli import cat, info, verify

def status_kb(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

def ask(run, said):
    def asked(what, question):
        try:
            return question()
        except fr.FastrecError as error:
            said.append(f"{what}: {error}")
    for name in ("problems", "state", "sessions", "marks", "stats", "clock", "info", "verify"):
        found = asked(name, lambda: getattr(run, name))
        said.append(str(asked(name, found) if name == "verify" else found)[:10_000])
    asked("repr", lambda: repr(run))
    for name in (asked("names", lambda: list(run)) or [])[:30]:
        records = asked(name, lambda: run[name])
        if records is None:
            continue
        assert len(records) >= 0 and records.gaps["count"].sum() >= 0
        for question in (
            lambda: repr(records), lambda: records.polls, lambda: (records.start, records.end),
            lambda: records.latest,
            lambda: (records[0], records[-1]) if len(records) else None,
            lambda: records[:100].decode(), lambda: records[-100:].decode(), lambda: records[:100].seq,
            lambda: records.between("+0s", "-1s")[:5].to_numpy(), lambda: records.last("1s")[:5].seq,
            lambda: records.clock and [records.clock.datetime(records.start or 0)],
            lambda: records[-200:].export(sys.argv[1] + "/out.jsonl", overwrite=True),
        ):
            asked(name, question)
        for field in records.schema.fields[:3]:
            asked(name, lambda: records[:100].where(**{field.name: 1}).seq)
            for question in (records[:1000].transitions, records[:1000].intervals, records[:1000].durations):
                asked(name, lambda: question(field.name))

def visit(path):
    said = []
    try:
        run = fr.open(path)
    except fr.FastrecError as error:
        said.append(f"open: {error}")
    else:
        ask(run, said)
    runs = []
    for verb in (["info"], ["info", "--json"], ["verify"], ["verify", "--json"], ["cat", "--limit", "20"],
                 ["cat", "--json", "--limit", "20"], ["cat", "--raw", "--last", "5"]):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main([verb[0], path, *verb[1:]])
        runs.append((verb, code, out.getvalue(), err.getvalue()))
    return {"said": said, "runs": runs}

visit(json.loads(sys.stdin.readline()))  # a sound one, so that all modules are loaded
for line in sys.stdin:
    path, memory, seconds, user = json.loads(line)
    into, outof = os.pipe()
    child = os.fork()
    if not child:
        answer = {}
        try:
            os.close(into)
            now = status_kb("VmSize") << 10
            resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(seconds)
            if user:
                os.setresuid(user, user, user)
            answer = visit(path)
        except BaseException:
            answer = {"broken": traceback.format_exc()[-3000:]}
        with os.fdopen(outof, "w") as file:
            json.dump(answer, file)
        os._exit(0)
    os.close(outof)
    with os.fdopen(into) as file:
        answer = file.read()
    _, ended = os.waitpid(child, 0)
    print(json.dumps(json.loads(answer) if answer else {"broken": f"ended by {ended}"}), flush=True)
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Callable[..., dict]]:
    folder = tempfile.TemporaryDirectory()
    out = Path(folder.name)
    out.chmod(0o777)  # for whoever a visitor becomes
    sound(out / "sound")
    command = [sys.executable, "-W", "error", "-c", ZYGOTE, str(out)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8:surrogateescape"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        process.stdin.write(json.dumps(str(out / "sound")) + "\n")

        def visit(path: Path, memory: int, seconds: int = 60, user: int = 0) -> dict:
            process.stdin.write(json.dumps([str(path), memory, seconds, user]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield visit
        process.stdin.close()
    folder.cleanup()


def sound(root: Path) -> None:
    """What is forged: one channel of 17 records, gaps and texts, and all files beside it."""
    folder, channel = samples.small(root)
    folder.line("marks.jsonl", mono_ns=START_NS, text="valve", kind="mark")
    folder.line("stats.jsonl", mono_ns=START_NS, channel="status", slots=1)
    folder.close({"status": channel})


# What a forger has


def sealed(body: bytes, seed: int) -> bytes:
    """JSON of any kind, as it is, with a checksum; it lacks its closing brace."""
    return body + b',"crc":"%08x"}\n' % writer.crc(seed, body)


def seed_of(path: str) -> int:
    if path == "recording.json":
        return 0
    parts = path.split("/")
    return writer.seed(writer.UUID, parts[1] if len(parts) > 1 else "", 0, 0)


def forge(root: Path, path: str, **members: object) -> None:
    """Members of a file of JSON changed, or added."""
    known = json.loads((root / path).read_bytes())
    del known["crc"]
    (root / path).write_bytes(sealed(json.dumps(known | members)[:-1].encode(), seed_of(path)))


def forge_raw(root: Path, path: str, **members: bytes) -> None:
    """The same with JSON as a forger spells it."""
    known = json.loads((root / path).read_bytes())
    del known["crc"]
    body = json.dumps({name: value for name, value in known.items() if name not in members})[:-1].encode()
    body += b"".join(b',"%s":%s' % (name.encode(), value) for name, value in members.items())
    (root / path).write_bytes(sealed(body, seed_of(path)))


def forge_schema(root: Path, **changes: object) -> None:
    schema = samples.STATUS.to_dict() | changes
    more = {}
    try:
        made = Schema.from_json(schema)
    except SchemaError:
        pass
    else:
        more = {"digest": made.digest, "record_size": made.storage("every").itemsize}
    forge(root, STATUS + "channel.json", schema=schema, **more)


def forge_field(root: Path, **changes: object) -> None:
    member = {"name": "tick", "offset": 0, "type": "<u4"} | changes
    forge_schema(root, members=[member, *samples.STATUS.to_dict()["members"][1:]], fields={})


def forge_rows(root: Path, kind: str, rows: list[dict[str, int]], *, header: bytes | None = None) -> None:
    """Rows of the index or the gaps of ``status``, their checksums right."""
    dtype = layout.INDEX_DTYPE if kind == "index" else layout.GAP_ROW_DTYPE
    names = dtype.names[:-1]
    path = root / STATUS / f"{kind}.000000.npy"
    start = path.read_bytes()[: layout.header_size(dtype)] if header is None else header
    codes = {"<u8": "Q", "<i8": "q", "<u4": "I", "<i4": "i"}
    form = "<" + "".join(codes[dtype[name].str] for name in names)
    data = [start]
    for number, row in enumerate(rows):
        body = struct.pack(form, *(row.get(name, 0) for name in names))
        data.append(body + struct.pack("<I", writer.crc(writer.seed(writer.UUID, "status", 0, number), body)))
    path.write_bytes(b"".join(data))


def forge_records(root: Path, rows: list[bytes], **index: int) -> None:
    """A segment of one block."""
    path = root / STATUS / "records.000000.npy"
    path.write_bytes(path.read_bytes()[:192] + b"".join(rows))
    seal = writer.crc(writer.seed(writer.UUID, "status", 0, 0), b"".join(rows))
    forge_rows(root, "index", [{"rows": len(rows), "crc_rows": seal} | index])


def forge_line(root: Path, path: str, **members: object) -> None:
    (root / path).write_bytes(writer.sealed(members, writer.seed(writer.UUID, "", 0, 0)))


def deep(levels: int, inner: bytes = b"1") -> bytes:
    return (
        b'{"a":' * (levels // 2)
        + b"[" * (levels - levels // 2)
        + inner
        + b"]" * (levels - levels // 2)
        + b"}" * (levels // 2)
    )


def sparse(path: Path, size: int = TIB) -> None:
    path.touch()
    os.truncate(path, size)


def instead(root: Path, path: str, make: Callable[[Path], object]) -> None:
    """Something else in the place of a file or a folder."""
    place = root / path
    place.rename(root.parent / "moved")
    make(place)


def unix_socket(path: Path) -> None:
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # zeros for ever
    except PermissionError:
        pytest.skip("only root makes devices")


def outside(root: Path) -> Path:
    return root.parent / "outside"


def field(**meaning: object) -> Callable[[Path], None]:
    return lambda root: forge_schema(root, fields={"tick": meaning})


def typed(code: object) -> Callable[[Path], None]:
    return lambda root: forge_field(root, type=code)


Forgery = Callable[[Path], object]

JSONS: dict[str, Forgery] = {}
for _path in ("recording.json", STATUS + "channel.json", "closed.json"):
    _raw = {
        "deep": deep(10_000),
        "rather deep": deep(980),
        "at the limit": deep(120),
        "beyond it": deep(130),
        "digits": b"7" * 1_000_000,
        "many digits": b"7" * 4_000,
        "infinite": b"1e999",
        "negative": b"-1e999",
        "nan": b"NaN",
        "half": b'"\\ud800"',
        "escapes": json.dumps(ESCAPES).encode(),
        "long": b'"' + b"x" * 1_000_000 + b'"',
        "null": b"null",
        "empty": b"",
        "twice": b'1,"crc":"0"',
    }
    _names = {
        "recording.json": ("format", "uuid", "host", "timezone", "created_ns", "metadata"),
        STATUS + "channel.json": ("name", "schema", "digest", "options", "record_size"),
        "closed.json": ("channels", "files", "session"),
    }[_path]
    for _kind, _value in _raw.items():
        JSONS[f"{_path} {_kind}"] = lambda root, path=_path, value=_value, names=_names: forge_raw(
            root, path, **{names[-1]: value, "unknown": value}
        )
        if len(_value) < 5_000:
            for _name in _names:
                JSONS[f"{_path} {_name} {_kind}"] = lambda root, path=_path, name=_name, value=_value: (
                    forge_raw(root, path, **{name: value})
                )

LARGE: dict[str, Forgery] = {
    "100 MB": lambda root: forge_raw(root, "recording.json", metadata=b'"' + b"x" * 100_000_000 + b'"'),
    "a schema of 100 MB": lambda root: forge_raw(
        root, STATUS + "channel.json", schema=b"[" + b"1," * 50_000_000 + b"1]"
    ),
    "closed of 100 MB": lambda root: forge_raw(root, "closed.json", files=b'"' + b"x" * 100_000_000 + b'"'),
    "20 MB of lists": lambda root: forge_raw(
        root, "recording.json", metadata=b"[" + b"[]," * 7_000_000 + b"1]"
    ),
    "20 MB of files": lambda root: forge(root, "closed.json", files={f"{n:0200}": n for n in range(100_000)}),
    "a line of 100 MB": lambda root: (root / "marks.jsonl").write_bytes(b"x" * 100_000_000),
    "texts of 100 MB": lambda root: (
        (root / STATUS / "strings.000000.jsonl").write_bytes(b'{"id":1,"crc":"00000000"}\n' * 4_000_000)
        and forge_rows(root, "index", [{"rows": 0, "string_bytes": 100_000_000}])
    ),
    "20,000 losses": lambda root: (
        forge_rows(root, "gaps", [{"seq": n, "count": 1, "cause": 3} for n in range(0, 40_000, 2)])
        or forge_rows(root, "index", [{"rows": 0, "gap_rows": 20_000}])
    ),
    "100,000 blocks of nothing": lambda root: forge_rows(
        root, "index", [{"first_seq": n} for n in range(100_000)]
    ),
    "10,000 blocks apart": lambda root: apart(root, 10_000),
    "3,000 channels": lambda root: channels(root, 3_000),
    "digits of 10 MB": lambda root: forge_raw(root, "recording.json", metadata=b"7" * 10_000_000),
    "options of 10 MB": lambda root: forge_raw(root, STATUS + "channel.json", options=b"7" * 10_000_000),
    "100,000 fields": lambda root: many_fields(root, 100_000),
    "100,000 meanings": lambda root: forge_schema(root, fields={f"f{n}": {} for n in range(100_000)}),
    "200,000 labels": lambda root: forge_schema(
        root,
        fields={"tick": {"labels": {"kind": "enum", "enumerators": [[f"a{n}", n] for n in range(200_000)]}}},
    ),
}


def apart(root: Path, count: int) -> None:
    path = root / STATUS / "records.000000.npy"
    rows = [status(2 * n) for n in range(count)]
    path.write_bytes(path.read_bytes()[:192] + b"".join(rows))
    seals = [writer.crc(writer.seed(writer.UUID, "status", 0, n), row) for n, row in enumerate(rows)]
    forge_rows(root, "index", [{"first_seq": 2 * n, "rows": 1, "crc_rows": seals[n]} for n in range(count)])


def many_fields(root: Path, count: int) -> None:
    forge_schema(root, members=[{"name": f"f{n}", "offset": 0, "type": "|u1"} for n in range(count)])


def channels(root: Path, count: int) -> None:
    whole = json.loads((root / STATUS / "channel.json").read_bytes())
    del whole["crc"]
    for number in range(count):
        folder = root / "channels" / f"c{number}"
        folder.mkdir()
        seed = writer.seed(writer.UUID, folder.name, 0, 0)
        (folder / "channel.json").write_bytes(writer.sealed(whole | {"name": folder.name}, seed))
    totals = {f"c{number}": {"records": 0} for number in range(count)}
    forge(root, "closed.json", channels=totals)


TYPES: dict[str, Forgery] = {
    f"type {code!r:.30}": typed(code)
    for code in (
        "O",
        "|O",
        "O8",
        "T",
        "|T16",
        "V0",
        "|V0",
        "|S0",
        "<U4",
        "<M8[ns]",
        "(1000000,1000)u1",
        "u4,u4",
        "<u4\n",
        "|V99999999999",
        "|S" + "9" * 5_000,
        "float128",
        "<f16",
        "",
        "\x00",
        "__import__('os').abort()",
        4,
        None,
        ["<u4"],
        {"type": "O"},
        True,
        1e308,
    )
}

SCHEMAS: dict[str, Forgery] = {
    "2,000 fields": lambda root: many_fields(root, 2_000),
    "2,000 meanings": lambda root: forge_schema(root, fields={f"f{n}": {} for n in range(2_000)}),
    "an offset below 0": lambda root: forge_field(root, offset=-8),
    "an offset of 2**62": lambda root: forge_field(root, offset=2**62),
    "an offset of 0.5": lambda root: forge_field(root, offset=0.5),
    "overlaps": lambda root: forge_field(root, offset=2),
    "an item of 1 GB": lambda root: forge_field(root, shape=[1000, 1000, 1000]),
    "axes of 65536": lambda root: forge_field(root, shape=[65536] * 32),
    "65536 fields": lambda root: forge_field(
        root, type=None, size=1, shape=[65536], members=[{"name": "a", "offset": 0, "type": "|u1"}]
    ),
    "a thousand axes": lambda root: forge_field(root, shape=[1] * 1000),
    "no elements": lambda root: forge_field(root, shape=[0]),
    "a shape below 0": lambda root: forge_field(root, shape=[-1, -4]),
    "bits beyond": lambda root: forge_field(root, bits=[["a", 2**40, 1, "u"]]),
    "65 bits": lambda root: forge_field(root, bits=[["a", 0, 65, "u"]]),
    "bits of a text": lambda root: forge_field(root, bits="abcd"),
    "a size of 2**62": lambda root: forge_schema(root, size=2**62),
    "a size of 0": lambda root: forge_schema(root, size=0),
    "a size of NaN": lambda root: forge_schema(root, size="NaN"),
    "a name of 1 MB": lambda root: forge_field(root, name="x" * 1_000_000),
    "a name twice": lambda root: forge_field(root, name="mode"),
    "no name": lambda root: forge_field(root, name=""),
    "structs in structs": lambda root: forge_raw(
        root,
        STATUS + "channel.json",
        schema=b'{"name":"a","abi":"sysv-x64","byteorder":"little","size":1,"members":['
        + b'{"name":"a","offset":0,"size":1,"members":[' * 60
        + b'{"name":"a","offset":0,"type":"|u1"}'
        + b"]}" * 60
        + b"]}",
    ),
    "members that are numbers": lambda root: forge_schema(root, members=[1, 2, 3]),
    "fields that are a list": lambda root: forge_schema(root, fields=["tick"]),
    "fields that are numbers": lambda root: forge_schema(root, fields={"tick": 5}),
    "an abi of 1 MB": lambda root: forge_schema(root, abi="x" * 1_000_000),
    "a byte order that is a list": lambda root: forge_schema(root, byteorder=["little"]),
    "a schema's name of escapes": lambda root: forge_schema(root, name=ESCAPES),
    "labels of no kind": field(labels={"kind": ["enum"], "enumerators": []}),
    "labels that are numbers": field(labels={"kind": "enum", "enumerators": [[1, 2]]}),
    "labels beyond 64 bits": field(labels={"kind": "enum", "enumerators": [["a", 2**64]]}),
    "flags of escapes": field(labels={"kind": "flags", "enumerators": [[ESCAPES, 1]]}),
    "masked nonsense": field(labels={"kind": "masked", "enumerators": [["a", -1, 5], ["b", 1, "x"]]}),
    "labels of an HRESULT, almost": field(labels={"kind": "hresult", "enumerators": [[]]}),
    "a unit of escapes": field(unit=ESCAPES, doc=ESCAPES),
    "a doc of 1 MB": field(doc="x" * 1_000_000),
    "a unit that is none": field(unit=["m"]),
    "a scale of 1e308": field(scale=1e308, bias=-1e308),
    "a scale of 0": field(scale=0),
    "a scale beyond": field(scale=10**400),
    "a scale that is a text": field(scale="1"),
    "text of a number": lambda root: forge_schema(
        root, fields={"tick": {"text": True}, "mode": {"text": "utf-16"}}
    ),
    "text of any kind": lambda root: forge_schema(root, fields={"url": {"text": ["direct"]}}),
}
for _name in ("..", ".", "/", "../../outside/canary", "a\0b", "a\nb", ESCAPES, "\ud800", "a.b", "a[0]"):
    SCHEMAS[f"a field named {_name!r}"] = lambda root, name=_name: forge_field(root, name=name)
for _rate in (
    "1e99",
    "1e-99",
    "1/0",
    "0",
    "1e999999999",
    "9" * 16,
    "nan",
    ["1"],
    {"a": 1},
    -1,
    1e308,
    ESCAPES,
    "",
):
    SCHEMAS[f"a rate of {_rate!r:.20}"] = lambda root, rate=_rate: forge(
        root, STATUS + "channel.json", options={"rate": rate, "store": "every"}
    )
for _store in (["every"], {"every": 1}, "", 5, None, ESCAPES):
    SCHEMAS[f"store={_store!r:.20}"] = lambda root, store=_store: forge(
        root, STATUS + "channel.json", options={"rate": "1000", "store": store}
    )

EXTREMES = (0, 1, -1, 2**31, 2**62 - 1, 2**62, 2**63 - 1, -(2**63))
ROWS: dict[str, Forgery] = {
    "all of everything": lambda root: forge_rows(
        root,
        "index",
        [
            {
                "first_seq": 2**64 - 1,
                "t_min": -(2**63),
                "t_max": 2**63 - 1,
                "durable_seq": 2**64 - 1,
                "gap_rows": 2**64 - 1,
                "string_bytes": 2**64 - 1,
                "rows": 2**32 - 1,
                "crc_rows": 2**32 - 1,
                "flags": 2**32 - 1,
            }
        ],
    ),
    "numbers to the limit": lambda root: forge_records(root, [status(0)], first_seq=2**62 - 1),
    "all gaps and texts": lambda root: forge_records(
        root, [status(0)], gap_rows=2**64 - 1, string_bytes=2**64 - 1
    ),
    "flags of all kinds": lambda root: forge_records(root, [status(0), status(1)], flags=2**32 - 1),
    "ids of texts beyond": lambda root: forge_records(root, [status(n, url=2**63 + n) for n in range(3)]),
    "stamps that are no times": lambda root: forge_records(
        root, [status(0, stamp=stamp) for stamp in EXTREMES], t_min=-(2**63), t_max=2**63 - 1
    ),
    "times back to front": lambda root: forge_records(
        root, [status(0), status(1)], t_min=2**63 - 1, t_max=-(2**63)
    ),
    "losses of all": lambda root: losses(
        root,
        [
            {
                "seq": 2**62 - 1,
                "count": 2**62 - 1,
                "cause": cause,
                "code": -(2**31),
                "t_first": -(2**63),
                "t_last": 2**63 - 1,
            }
            for cause in range(1, 8)
        ],
    ),
    "losses whose sums wrap": lambda root: losses(
        root,
        [
            {"seq": 20, "count": 2**62 - 1, "cause": 3, "t_first": START_NS, "t_last": START_NS}
            for _ in range(9)
        ],
    ),
    "losses over losses": lambda root: losses(
        root, [{"seq": 0, "count": 2**61, "cause": cause} for cause in (1, 5, 7)]
    ),
    "losses that end first": lambda root: losses(
        root, [{"seq": 3, "count": 2, "cause": 4, "t_first": 2**63 - 1, "t_last": -(2**63)}]
    ),
}


def losses(root: Path, rows: list[dict[str, int]]) -> None:
    forge_rows(root, "gaps", rows)
    whole = [status(0), status(1)]
    forge_records(root, whole, gap_rows=len(rows), t_min=START_NS, t_max=START_NS + 10**6)


def clocks(root: Path, rows: list[tuple[int, ...]]) -> None:
    path = root / "clocks.npy"
    data = path.read_bytes()[: layout.header_size(layout.CLOCK_DTYPE)]
    for number, row in enumerate(rows):
        body = struct.pack("<qqqqqI", *row, 0, 0, 0, 0)
        data += body + struct.pack("<I", writer.crc(writer.seed(writer.UUID, "", 0, number), body))
    path.write_bytes(data)


BESIDE: dict[str, Forgery] = {
    **{
        f"{file} {member} {value!r:.20}": lambda root, file=file, members={**usual, member: value}: (
            forge_line(root, file, **members)
        )
        for file, usual in (
            ("sessions.jsonl", {"session": 0, "start_ns": 1, "offset_ns": 0}),
            ("marks.jsonl", {"mono_ns": START_NS, "text": "a", "kind": "mark"}),
            ("stats.jsonl", {"mono_ns": 1, "channel": "status", "texts_lost": 1}),
        )
        for member in usual
        for value in (2**62, -(2**70), 10**3_000, 1.5, None, [1], {"a": [1]}, ESCAPES, "x" * 900_000, True)
    },
    "clocks to the ends": lambda root: clocks(
        root, [(a, b) for a, b in zip(sorted(EXTREMES), EXTREMES, strict=True)]
    ),
    "clocks that stand": lambda root: clocks(root, [(START_NS, 5)] * 3),
    "clocks that jump": lambda root: clocks(root, [(0, 2**63 - 1), (1, -(2**63)), (2**63 - 1, 2**63 - 1)]),
    **{
        f"closed {path!r:.40}: {size!r:.20}": lambda root, path=path, size=size: forge(
            root, "closed.json", files={path: size}
        )
        for path, size in (
            ("../outside/canary", 20),
            ("/etc/passwd", 1),
            ("..", 0),
            (".", 0),
            ("", 0),
            ("a\0b", 0),
            ("channels/../../outside/canary", 20),
            ("/".join("a" * 100_000), 0),
            ("x" * 1_000_000, 0),
            (ESCAPES, 1),
            ("channels", 0),
            ("recording.json", "1"),
            ("recording.json", [1]),
            ("recording.json", 10**3_000),
            ("recording.json", None),
            ("recording.json", 1.5),
            ("channels//status", -1),
        )
    },
    **{
        f"totals {number}": lambda root, value=value: forge(root, "closed.json", channels={"status": value})
        for number, value in enumerate(
            (
                1,
                [],
                None,
                {"records": 2**62 - 1},
                {"records": 2**62},
                {"records": -1},
                {"records": True},
                {"records": 20, "stats": [1]},
                {"records": 20, "stats": {"texts_lost": [1]}},
                {"records": 20, "stats": {"texts_lost": 10**3_000, ESCAPES: ESCAPES}},
            )
        )
    },
    "totals of a channel of escapes": lambda root: forge(
        root, "closed.json", channels={ESCAPES * 50_000: {}}
    ),
    "a zone outside": lambda root: forge(root, "recording.json", timezone="../../outside/canary"),
    "a zone that is a path": lambda root: forge(root, "recording.json", timezone="/etc/localtime"),
    "a zone that is no zone": lambda root: forge(root, "recording.json", timezone="leapseconds"),
    "a folder of zones": lambda root: forge(root, "recording.json", timezone="Europe"),
    "metadata of escapes": lambda root: forge(
        root, "recording.json", host=ESCAPES, metadata={ESCAPES: [ESCAPES]}
    ),
    "texts of escapes": lambda root: texts(root, ESCAPES),
    "texts of halves": lambda root: texts(root, "\ud800\udcff"),
}


def texts(root: Path, text: str) -> None:
    line = writer.sealed({"id": 1, "text": text}, writer.seed(writer.UUID, "status", 0, 0))
    (root / STATUS / "strings.000000.jsonl").write_bytes(line)
    forge_records(root, [status(0, url=1)], string_bytes=len(line))


ROLES = (
    "recording.json",
    "sessions.jsonl",
    "clocks.npy",
    "marks.jsonl",
    "stats.jsonl",
    "closed.json",
    *(
        STATUS + file
        for file in (
            "channel.json",
            "records.000000.npy",
            "index.000000.npy",
            "gaps.000000.npy",
            "zones.000000.npy",
            "strings.000000.jsonl",
        )
    ),
)
PLACES: dict[str, Forgery] = {}
for _path in ROLES:
    PLACES |= {
        f"1 TiB of {_path}": lambda root, path=_path: sparse(root / path),
        f"1 TiB for {_path}": lambda root, path=_path: instead(root, path, sparse),
        f"fifo {_path}": lambda root, path=_path: instead(root, path, os.mkfifo),
        f"folder {_path}": lambda root, path=_path: instead(root, path, Path.mkdir),
        f"device {_path}": lambda root, path=_path: instead(root, path, device),
        f"link {_path}": lambda root, path=_path: instead(
            root, path, lambda place: place.symlink_to(root.parent / "moved")
        ),
        f"loop {_path}": lambda root, path=_path: instead(
            root, path, lambda place: place.symlink_to(place.name)
        ),
    }
for _path in ("channels", "channels/status"):
    PLACES |= {
        f"file {_path}": lambda root, path=_path: instead(root, path, Path.touch),
        f"fifo {_path}": lambda root, path=_path: instead(root, path, os.mkfifo),
        f"link {_path}": lambda root, path=_path: instead(
            root, path, lambda place: place.symlink_to(root.parent / "moved", target_is_directory=True)
        ),
        f"loop {_path}": lambda root, path=_path: instead(
            root, path, lambda place: place.symlink_to("../..")
        ),
    }
PLACES |= {
    "a socket": lambda root: instead(root, "marks.jsonl", unix_socket),
    "a link beside": lambda root: (root / "channels/more").symlink_to(outside(root)),
    "a loop beside": lambda root: (root / STATUS / "windows").symlink_to(root),
    "1 TiB of losses": lambda root: (
        forge_records(root, [status(0)], gap_rows=2**34, string_bytes=2**39)
        or sparse(root / STATUS / "gaps.000000.npy")
        or sparse(root / STATUS / "strings.000000.jsonl")
    ),
    "1 TiB of records": lambda root: zeros(root, 50),
    "records beyond all addresses": lambda root: (
        forge_schema(root, size=65_528, members=[{"name": "a", "offset": 0, "type": "|V65528"}], fields={})
        or zeros(root, 8, 65_536)
    ),
    "5 MB of line ends": lambda root: (
        (root / STATUS / "strings.000000.jsonl").write_bytes(b"\n" * 5_000_000)
        and forge_records(root, [status(0, url=3)], string_bytes=5_000_000)
    ),
    "segments far apart": lambda root: [
        (root / STATUS / f"{kind}.{number}.npy").touch()
        for kind in ("records", "index")
        for number in ("000007", "999999", "1000000", "-00001", "00000a")
    ],
    "names that differ by case": lambda root: (
        (root / "channels/STATUS").mkdir()
        or (root / "channels/STATUS/channel.json").write_bytes((root / STATUS / "channel.json").read_bytes())
    ),
    "names that are none": lambda root: [
        (root / "channels" / name).mkdir()
        for name in (".hidden", "a b", "\x1b[2J", "ü", "-rf", "x" * 65, "$(id)")
    ],
    "a recording in itself": lambda root: (root / STATUS / "channels").mkdir(),
}


def zeros(root: Path, blocks: int, size: int = 32) -> None:
    """Records in a file of 1 TiB that takes no place at all, and whose checksums are right."""
    block, rows = bytes(1024 * size), []
    for number in range(blocks):
        seal = writer.crc(writer.seed(writer.UUID, "status", 0, 1024 * number), block)
        rows.append({"first_seq": 1024 * number, "rows": 1024, "crc_rows": seal})
    forge_rows(root, "index", rows)
    path = root / STATUS / "records.000000.npy"
    os.truncate(path, 192)
    sparse(path)


FORGERIES = JSONS | TYPES | SCHEMAS | ROWS | BESIDE | PLACES

HARMFUL = [*range(0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F)]
HARM = {chr(code) for code in [*HARMFUL, *range(0x2066, 0x206A)]}


def footprint(folder: Path) -> dict[str, tuple]:
    return {
        str(path): (entry.st_mode, entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns)
        for path in [folder, *folder.rglob("*")]
        for entry in [path.lstat()]
    }


def real_bytes(folder: Path) -> int:
    """What a folder takes on the disk; holes are nothing."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def check(answer: dict) -> None:
    assert "broken" not in answer, answer["broken"]
    for verb, code, out, err in answer["runs"]:
        assert code in (0, 1), (verb, code)
        for text in (out, err):
            assert not HARM.intersection(text), (verb, sorted(map(ascii, HARM.intersection(text))))
            assert SECRET.decode() not in text
            assert "Traceback" not in text
        told = err.splitlines()
        assert len(told) <= 4 and all(line.startswith("fastrec: ") for line in told), err
        assert max(map(len, told), default=0) < 2_000
        if "--json" in verb and out and verb[0] != "cat":
            json.loads(out)
    assert SECRET.decode() not in str(answer["said"])


@pytest.fixture
def place(tmp_path: Path, zygote: Callable[..., dict]) -> Iterator[Path]:
    """Where a recording is made, and a folder beside it that nobody is to touch."""
    canary = tmp_path / "outside"
    canary.mkdir()
    (canary / "canary").write_bytes(SECRET)
    (canary / "channel.json").write_bytes(SECRET)
    before = footprint(canary)
    yield tmp_path / "r"
    assert footprint(canary) == before


def visited(place: Path, zygote: Callable[..., dict], forgery: Forgery, seconds: int = 60) -> dict:
    sound(place)
    forgery(place)
    before = footprint(place)
    answer = zygote(place, (160 << 20) + 24 * real_bytes(place), seconds)
    check(answer)
    assert footprint(place) == before
    return answer


OFTEN = random.Random(7).sample(list(FORGERIES), 140)
"""Those that are visited every time; the others when there is time for them."""


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[] if one in OFTEN else pytest.mark.stress) for one in FORGERIES]
)
def test_a_forged_recording(place: Path, zygote: Callable[..., dict], name: str) -> None:
    answer = visited(place, zygote, FORGERIES[name])
    if name.startswith(("link ", "loop ", "fifo ", "folder ", "device ")):
        # What a link leads to would be sound.
        assert [code for verb, code, _, _ in answer["runs"] if verb[0] == "verify"] == [1, 1]


@pytest.mark.parametrize("name", ["100 MB", "a schema of 100 MB", "a line of 100 MB"])
def test_a_large_file(place: Path, zygote: Callable[..., dict], name: str) -> None:
    visited(place, zygote, LARGE[name])


@pytest.mark.stress
@pytest.mark.parametrize("name", LARGE)
def test_large_files(place: Path, zygote: Callable[..., dict], name: str) -> None:
    visited(place, zygote, LARGE[name], 600)


def test_a_sound_recording(place: Path, zygote: Callable[..., dict]) -> None:
    """The visit itself: all of it is seen, and nothing is said to be wrong."""
    answer = visited(place, zygote, lambda root: None)
    assert answer["said"][0] == "[]"
    assert [code for _, code, _, _ in answer["runs"]] == [0] * 7
    assert len(answer["runs"][5][2].splitlines()) == 17


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.parametrize("path", [*ROLES, "channels", "channels/status", "."])
def test_what_may_not_be_read(zygote: Callable[..., dict], path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        sound(root / "r")
        for one in [root / "r", *(root / "r").rglob("*")]:
            one.chmod(0o755)
        (root / "r" / path).chmod(0)
        check(zygote(root / "r", 160 << 20, user=65534))

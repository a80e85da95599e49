import json

import numpy as np
import pytest
from common import gaps
from recording.samples import large, small

import fastrec
from fastrec.cli import main
from fastrec.formats import jsonl
from fastrec.records import ArrayChunk, Records
from fastrec.schema import Schema
from fastrec.times import CLOCK_PAIR_DTYPE, Clock


def build(schema, array, text=None, clock=None, store="every"):
    return Records("plant", schema, [ArrayChunk(array, 7, text)], gaps=gaps(), clock=clock, store=store)


def no_constants(name):
    raise AssertionError(f"{name} is no JSON")


def lines(path):
    content = path.read_bytes()
    assert content.isascii() and (content.endswith(b"\n") or not content)
    return [json.loads(line, parse_constant=no_constants) for line in content.splitlines()]


@pytest.mark.parametrize(
    ("sample", "channel"), [(small, "status"), (large, "status"), (large, "held")], ids=str
)
@pytest.mark.parametrize("raw", [False, True])
def test_what_cat_prints_as_json(tmp_path, capsys, sample, channel, raw):
    """The same keys in the same order, the same text."""
    sample(tmp_path / "run.fastrec", close=True)
    fastrec.open(tmp_path / "run.fastrec")[channel].export(tmp_path / "a.jsonl", raw=raw)
    assert main(["cat", str(tmp_path / "run.fastrec"), channel, "--json", *["--raw"][: int(raw)]]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") > 16 and (tmp_path / "a.jsonl").read_bytes() == printed.encode("ascii")


def test_strict_json_of_everything(tmp_path):
    payload = np.dtype(
        [("all", "<u8"), ("low", "<i8"), ("f", "<f4"), ("d", "<f8"), ("m", "<i2", (2, 2)), ("tag", "S3"),
         ("z", "<c8"), ("raw", "V2"), ("ok", "?"), ("url", "<u8"), ("\u20ac", ">f8", (2,))]
    )  # fmt: skip
    schema = Schema.from_dtype(payload).with_field("url", text=True)
    array = np.zeros(4, dtype=schema.record_dtype)
    array["mono_ns"] = [-1, 0, 1, 2**63 - 1]
    array["all"], array["low"] = 2**64 - 1, -(2**63)
    array["f"] = [0.1, np.nan, np.inf, -np.inf]
    array["d"] = [0.1, np.nan, np.inf, -0.0]
    array["m"], array["tag"], array["z"] = [[1, 2], [3, 4]], [b"a\0b", b"\xff", b'"\n', b"\x7f"], 1 + 2j
    array["raw"], array["ok"], array["url"] = b"\0\xff", [True, False] * 2, [1, 2, 0, 3]
    array["\u20ac"] = [np.inf, 1.5]
    text = {1: "\udcff\u20ac\U0001f600", 2: ""}.get
    jsonl.write(build(schema, array, text), tmp_path / "a.jsonl")
    found = lines(tmp_path / "a.jsonl")
    assert [one.pop("seq") for one in found] == [7, 8, 9, 10]
    assert [one.pop("time") for one in found] == [None] * 4
    assert [one.pop("mono_ns") for one in found] == [-1, 0, 1, 2**63 - 1]
    assert [one.pop("f") for one in found] == [0.1, "NaN", "Infinity", "-Infinity"]
    assert [str(one.pop("d")) for one in found] == ["0.1", "NaN", "Infinity", "-0.0"]
    assert [one.pop("tag") for one in found] == ["a", "\\udcff", '"\n', "\x7f"]
    assert [one.pop("url") for one in found] == ["\\udcff\u20ac\U0001f600", "", None, None]
    assert [one.pop("ok") for one in found] == [True, False] * 2
    rest = {"all": 2**64 - 1, "low": -(2**63), "m": [[1, 2], [3, 4]], "z": "1+2j", "raw": "00ff"}
    assert found == [{**rest, "\u20ac": ["Infinity", 1.5]}] * 4


def test_dates_are_in_the_zone_and_null_where_there_are_none(tmp_path):
    schema = Schema.from_dtype(np.dtype([("n", "<i4")]))
    array = np.zeros(2, dtype=schema.record_dtype)
    array["mono_ns"] = [1_999, 2**63 - 1]
    clock = Clock(np.array([(0, 2**62 + 2**61)], dtype=CLOCK_PAIR_DTYPE))
    jsonl.write(build(schema, array, clock=clock), tmp_path / "a.jsonl")
    jsonl.write(build(schema, array, clock=Clock(clock.pairs[:0])), tmp_path / "b.jsonl")
    expected = [clock.text(1_999), clock.text(2**63 - 1)]
    assert [one["time"] for one in lines(tmp_path / "a.jsonl")] == expected
    assert [one["time"] for one in lines(tmp_path / "b.jsonl")] == [None, None]


def test_fields_of_our_names_lose_nothing(tmp_path):
    schema = Schema.from_dtype(np.dtype([("time", "<i4"), ("seq", "<i4"), ("seq_", "<i4")]))
    array = np.zeros(1, dtype=schema.record_dtype)
    array["time"], array["seq"], array["seq_"] = 5, 6, 8
    for raw, more in ((False, {"time_": None}), (True, {})):
        jsonl.write(build(schema, array), tmp_path / f"{raw}.jsonl", raw=raw)
        assert lines(tmp_path / f"{raw}.jsonl") == [
            {"seq__": 7, **more, "mono_ns": 0, "time": 5, "seq": 6, "seq_": 8}
        ]

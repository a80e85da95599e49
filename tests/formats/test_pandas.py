import datetime as dt
import subprocess
import sys
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from common import SCHEMA, gaps, sample
from recording.samples import large

import fastrec
from fastrec.records import ArrayChunk, Records
from fastrec.schema import HRESULT, Flags, Masked, Schema
from fastrec.times import CLOCK_PAIR_DTYPE, Clock

S = 10**9
NOON = 1_790_000_000 * S
BERLIN = ZoneInfo("Europe/Berlin")


def clock(*pairs, zone=BERLIN):
    return Clock(np.array(list(pairs) or [(0, NOON)], dtype=CLOCK_PAIR_DTYPE), zone)


def build(array, schema=SCHEMA, store="every", text=None, when=None, cut=3):
    pieces = [ArrayChunk(array[:cut], 0, text), ArrayChunk(array[cut:], cut, text)]
    return Records("plant", schema, pieces, gaps=gaps(), clock=when, store=store)


def of(schema, count=4, **columns):
    array = np.zeros(count, dtype=schema.record_dtype)
    array["mono_ns"] = np.arange(count) * 1_000
    for name, values in columns.items():
        schema.field(name).of(array)[:] = values
    return array


def labelled(labels, values, kind="<i4"):
    """The column of a field with these labels."""
    schema = Schema.from_dtype(np.dtype([("x", kind)]), labels={"x": labels})
    return build(of(schema, len(values), x=values), schema, when=clock()).to_pandas()["x"]


def test_columns_of_a_frame():
    array = sample(40, store="changes")
    records = build(array, store="changes", when=clock(), cut=17)
    frame = records.to_pandas()
    assert list(frame) == [
        "mono_ns", "until_ns", "polls", "max_gap_ns", "mode", "level", "total", "axis.pos", "axis.on",
        "trace[0]", "trace[1]", "trace[2]", "tag",
    ]  # fmt: skip
    for name in ("mono_ns", "until_ns", "polls", "max_gap_ns", "level", "total", "axis.pos", "axis.on"):
        assert frame[name].dtype == records[name].dtype
        np.testing.assert_array_equal(frame[name].to_numpy(), records[name])
    for place in range(3):
        np.testing.assert_array_equal(frame[f"trace[{place}]"].to_numpy(), array["trace"][:, place])
    assert frame["total"].max() == 2**64 - 1
    assert frame["mode"].tolist() == records.decode()["mode"].tolist()
    assert frame["tag"].tolist() == [tag.split(b"\0")[0].decode() for tag in array["tag"].tolist()]
    assert frame["tag"].dtype == object and frame.attrs == {"units": {"level": "m"}}
    assert frame.index.name == "time" and len(frame) == 40


def test_types_of_their_own():
    layout = np.dtype(
        [("t", ">i2"), ("big", ">u8"), ("raw", "V2"), ("ok", "?"), ("z", "<c8"), ("url", "<u8"), ("h", "<f2")]
    )
    schema = Schema.from_dtype(layout, units={"t": "degC", "big": "V"}).with_field("url", text=True)
    schema = schema.with_field("t", scale=0.5, bias=-40.0)
    array = of(
        schema, t=[0, 1, 2, -1], big=2**64 - 1, raw=[b"\0\1", b"\0\0", b"\xff\0", b"ab"], url=[1, 0, 2, 3]
    )
    array["ok"], array["z"], array["h"] = [True, False] * 2, 1 + 2j, 0.5
    records = build(array, schema, text={1: "http://a", 2: "\udcff", 3: ""}.get, when=clock())
    frame = records.to_pandas()
    assert frame["t"].tolist() == [-40.0, -39.5, -39.0, -40.5] and frame["t"].dtype == np.float64
    assert frame["big"].dtype == np.dtype("=u8") and frame["big"].tolist() == [2**64 - 1] * 4
    assert frame["raw"].tolist() == [b"\0\1", b"\0\0", b"\xff\0", b"ab"]
    assert frame["ok"].dtype == bool and frame["z"].tolist() == [1 + 2j] * 4
    assert frame["h"].dtype == np.float16
    assert frame["url"].tolist() == ["http://a", None, "\udcff", ""] and frame["url"].dtype == object
    assert frame["url"].iloc[1] is None
    assert frame.attrs["units"] == {"t": "degC", "big": "V"}

    raw = records.to_pandas(raw=True)
    assert raw["t"].tolist() == [0, 1, 2, -1] and raw["t"].dtype == np.dtype("=i2")
    assert raw["url"].tolist() == [1, 0, 2, 3] and raw["url"].dtype == np.uint64
    assert raw["raw"].tolist() == frame["raw"].tolist()
    assert raw.attrs["units"] == {"big": "V"} and list(raw) == list(frame)
    pd.testing.assert_index_equal(raw.index, frame.index)


def test_raw_labels_are_numbers():
    schema = Schema.from_dtype(np.dtype([("x", ">i4", (2,))]), labels={"x": {"A": 1}})
    records = build(of(schema, x=[[1, 2]] * 4), schema, when=clock())
    assert records.to_pandas(raw=True)["x[1]"].tolist() == [2] * 4
    frame = records.to_pandas()
    assert frame["x[0]"].tolist() == ["A"] * 4 and frame["x[1]"].tolist() == ["2?"] * 4
    assert frame["x[0]"].dtype == frame["x[1]"].dtype


def test_declared_names_come_first_in_their_order_then_what_was_seen():
    found = labelled({"RUN": 1, "IDLE": 0, "OFF": 0, "FAULT": -1}, [7, 0, -1, 1, -5, 7])
    assert found.tolist() == ["7?", "IDLE", "FAULT", "RUN", "-5?", "7?"]
    assert found.cat.categories.tolist() == ["RUN", "IDLE", "FAULT", "-5?", "7?"]
    assert not found.cat.ordered and not found.isna().any()
    assert labelled({"RUN": 1, "ALL": 2**64 - 1}, [2**64 - 1, 1], "<u8").tolist() == ["ALL", "RUN"]
    assert labelled({"NO": 0, "YES": 1}, [True, False], "?").tolist() == ["YES", "NO"]


def test_words_of_bits():
    found = labelled(Flags({"A": 1, "B": 2, "C": 1 << 31}), [3, 0, 65, 1, -(2**31)])
    assert found.tolist() == ["A|B", "0", "A|0x40", "A", "C"]
    assert found.cat.categories.tolist()[:3] == ["A", "B", "C"]
    assert set(found.cat.categories[3:]) == {"0", "A|B", "A|0x40"}
    # A word is as wide as its type.
    assert labelled(Flags({"A": 1, "TOP": 0x80}), [-128, -127], "i1").tolist() == ["TOP", "A|TOP"]
    # Many words are one state, and states may share a value under masks of their own.
    states = Masked({"OFF": (0x0F, 0), "FAULT": (0xF0, 0), "ON": (0x01, 1)})
    found = labelled(states, [0x10, 0x20, 0x02, 0x31, 0x11, 0x12], "u1")
    assert found.tolist() == ["OFF", "OFF", "FAULT", "ON", "ON", "0x12?"]
    assert found.cat.categories.tolist() == ["OFF", "FAULT", "ON", "0x12?"]
    assert labelled(states, [0], "u1").cat.categories.tolist() == ["OFF", "FAULT", "ON"]


def test_hresults_declare_none():
    found = labelled(HRESULT, [0, -2147467259, 0, 0x1234])
    assert found.tolist() == ["S_OK", "E_FAIL", "S_OK", "0x00001234"]
    assert found.cat.categories.tolist() == ["E_FAIL", "S_OK", "0x00001234"]
    other = labelled(HRESULT, [0, 1])
    joined = pd.api.types.union_categoricals([found, other])
    assert list(joined) == [*found, "S_OK", "S_FALSE"]


def test_windows_go_together():
    array = sample(200)
    array["mode"] = np.arange(200) // 60  # 3 has no name
    records = build(array, when=clock())
    frames = [records[:60].to_pandas(), records[60:60].to_pandas(), records[60:180].to_pandas()]
    assert {tuple(frame.dtypes) for frame in frames} == {tuple(frames[0].dtypes)}
    whole = pd.concat(frames)
    pd.testing.assert_frame_equal(whole, records[:180].to_pandas())
    assert whole.attrs["units"] == {"level": "m"}


def test_labels_are_decoded_once_per_value(monkeypatch):
    asked = []
    real = SCHEMA.field("mode").labels.names
    kind = type(SCHEMA.field("mode").labels)
    monkeypatch.setattr(kind, "names", lambda self, values: asked.append(len(values)) or real(values))
    build(sample(5_000), when=clock()).to_pandas()
    assert sum(asked) <= 4


@pytest.mark.parametrize("store", ["every", "changes"])
def test_empty_records_have_the_same_types(store):
    schema = Schema.from_dtype(
        np.dtype(
            [("m", "u1", (2,)), ("hr", "<i4"), ("url", "<u8"), ("tag", "S2"), ("v", "V2"), ("t", "<i2")]
        ),
        labels={"m": {"A": 0}, "hr": HRESULT},
    ).with_field("url", text=True)
    schema = schema.with_field("t", scale=2.0)
    records = build(np.zeros(6, dtype=schema.record(store)), schema, store, when=clock())
    full = records.to_pandas()
    for part in (records[3:3], build(np.zeros(0, dtype=schema.record(store)), schema, store, when=clock())):
        empty = part.to_pandas()
        assert len(empty) == 0 and empty.index.dtype == full.index.dtype and empty.index.name == "time"
        assert list(empty) == list(full)
        for name in full:
            if name != "hr":
                assert empty[name].dtype == full[name].dtype
        assert empty["hr"].cat.categories.dtype == full["hr"].cat.categories.dtype
        assert part.to_pandas(raw=True).dtypes.tolist() == records.to_pandas(raw=True).dtypes.tolist()


def test_the_index_is_exact_in_the_zone():
    when = clock((10 * S, NOON), (20 * S, NOON + 10 * S + 7), (30 * S, NOON + 30_000 * S))
    array = sample(50)
    array["mono_ns"] = np.linspace(9 * S, 31 * S, 50).astype("i8") + 1
    frame = build(array, when=when).to_pandas()
    assert frame.index.dtype == pd.DatetimeTZDtype("ns", BERLIN) and frame.index.name == "time"
    assert frame.index.asi8.tolist() == [when.wall(stamp) for stamp in array["mono_ns"].tolist()]
    assert frame.index[0].isoformat(timespec="microseconds") == when.text(int(array["mono_ns"][0]))
    assert frame.index[0].nanosecond == when.wall(int(array["mono_ns"][0])) % 1_000
    fixed = build(array, when=clock(zone=dt.timezone(dt.timedelta(hours=-5)))).to_pandas()
    assert fixed.index[0].utcoffset() == dt.timedelta(hours=-5)
    assert len(frame.loc[frame.index[3] : frame.index[5]]) == 3


def test_a_recording(tmp_path):
    large(tmp_path / "run.fastrec")
    records = fastrec.open(tmp_path / "run.fastrec")["status"]
    frame = records.to_pandas()
    assert frame.index.dtype == pd.DatetimeTZDtype("ns", records.clock.zone) and len(frame) == 5_900
    for place in (0, 2_499, 2_500, 5_899):
        stamp = int(records["mono_ns"][place])
        assert frame.index[place].isoformat(timespec="microseconds") == records.clock.text(stamp)
        assert frame["url"].iloc[place] == records.decode("url")["url"][place]
    assert frame["mode"].value_counts().index.isin(["IDLE", "RUN", "FAULT"]).all()
    part = frame.loc["2026-09-21 16:13:21":"2026-09-21 16:13:21.999"]
    assert part["tick"].tolist() == records.between("16:13:21", "16:13:22")["tick"].tolist()
    frame.loc[:, ["tick", "mono_ns"]] = 5
    frame["url"] = "mine"
    assert records["tick"][1] == 7 and records.to_pandas()["mono_ns"].is_unique


@pytest.mark.parametrize("when", [None, Clock(np.empty(0, CLOCK_PAIR_DTYPE)), clock((0, 2**63 - 1_500))])
def test_where_nobody_knows_the_date_the_index_counts_from_boot(when):
    array = of(SCHEMA, 5)
    frame = build(array, when=when).to_pandas()
    assert frame.index.dtype == np.dtype("m8[ns]") and frame.index.name == "time"
    assert frame.index.asi8.tolist() == frame["mono_ns"].tolist() == array["mono_ns"].tolist()
    assert len(frame.reset_index().columns) == len(frame.columns) + 1
    assert len(frame.resample("2us").size()) == 3


def test_a_field_called_time_keeps_its_name():
    schema = Schema.from_dtype(np.dtype([("time", "<i4"), ("x", "<i4")]))
    frame = build(of(schema, time=5), schema, when=clock()).to_pandas()
    assert frame.index.name == "time_" and frame["time"].tolist() == [5] * 4
    assert frame.sort_values("time").reset_index().shape == (4, 4)


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
sys.path[:0] = {path!r}
from formats.test_pandas import *
"""


def run(program, *blocked):
    path = [one for one in sys.path if one.endswith("tests")]
    text = WITHOUT.format(blocked=set(blocked), path=path) if blocked else ""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text + program], capture_output=True, text=True
    )


def test_no_pyarrow_is_needed_nor_taken():
    done = run(
        """
test_columns_of_a_frame(), test_types_of_their_own(), test_hresults_declare_none()
test_windows_go_together(), test_the_index_is_exact_in_the_zone()
assert "pyarrow" not in sys.modules
""",
        "pyarrow",
    )
    assert (done.returncode, done.stderr) == (0, "")


NOTHING_BUT_FASTREC = """
import sys
sys.modules["pandas"] = None
import numpy as np
from fastrec.errors import FormatError
from fastrec.records import Records
from fastrec.schema import Schema
from fastrec.schema.gaps import GAP_DTYPE
schema = Schema.from_dtype([("x", "<i4")])
records = Records("x", schema, [], gaps=np.zeros(0, GAP_DTYPE), clock=None)
for _ in range(2):
    try:
        records.to_pandas()
    except FormatError as error:
        print(error)
"""


def test_without_pandas_the_error_names_it():
    done = run(NOTHING_BUT_FASTREC)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [done.stdout.splitlines()[0]] * 2
    assert "run: pip install pandas " in done.stdout and "to_pandas()" in done.stdout


def test_fastrec_itself_takes_no_pandas():
    done = run(
        "import sys, fastrec, fastrec.cli.export, fastrec.formats.registry; print('pandas' in sys.modules)"
    )
    assert (done.returncode, done.stdout) == (0, "False\n")

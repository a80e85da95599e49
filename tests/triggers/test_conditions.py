"""Which channel is meant, what is refused, and what a trigger says of itself."""

from __future__ import annotations

import numpy as np
import pytest
from triggers.simulated import ROW, bench

import fastrec as fr
from fastrec.schema import Schema

OTHER = Schema.from_dtype(np.dtype([("temp", "<f4"), ("mode", "<u1")]))


def test_the_only_channel_that_has_the_names_is_asked() -> None:
    with bench(None, "a") as at:
        at.rec.add("b", schema=OTHER)
        assert at.rec.trigger("temp > 80", store=False).channel == "b"
        assert at.rec.trigger("mode == FAULT", store=False).channel == "a"  # a label of a's
        assert at.rec.trigger("mode == 1", on="b", store=False).channel == "b"
        with pytest.raises(
            fr.SchemaError, match=r"^'mode == 1' can be asked of 'a', 'b'; say on= one of them$"
        ):
            at.rec.trigger("mode == 1", store=False)
        with pytest.raises(
            fr.SchemaError,
            match=r"^'zz == 1' can be asked of no channel; say on= one of 'a', 'b'; a: .*no field 'zz'",
        ):
            at.rec.trigger("zz == 1", store=False)
        with pytest.raises(fr.SchemaError, match=r"^on='aa': there is no such channel; did you mean 'a'\?"):
            at.rec.trigger("hr < 0", on="aa", store=False)
        with pytest.raises(fr.SchemaError, match=r"^say on which channel: on= one of 'a', 'b'$"):
            at.rec.trigger(silence="1s", store=False)
        with pytest.raises(fr.ExpressionError, match=r"^'hr <' at column 5"):
            at.rec.trigger("hr <", store=False)


def test_it_needs_a_channel() -> None:
    with fr.Recorder() as rec, pytest.raises(fr.SchemaError, match="add channels first"):
        rec.trigger("hr < 0", store=False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"edge": "up"}, "edge='up'; it is 'rising', 'falling', 'both' or 'each'"),
        ({"dwell": 5}, "dwell=5; it is a duration above 0 such as '200ms'"),
        ({"dwell": "0s"}, "dwell='0s'; it is a duration above 0"),
        ({"dwell": "1s", "edge": "each"}, "edge='each' is about single records"),
        (
            {"silence": "1s", "dwell": "1s"},
            "silence= is about records that do not come: leave dwell= and edge=",
        ),
        ({"silence": "1s", "edge": "both"}, "silence= is about records that do not come"),
        ({"holdoff": 1.5}, "holdoff=1.5; it is a duration such as '100ms', or None"),
        ({"rearm": "never == 1"}, "'never == 1' at column 1: .* has no field 'never'"),
        ({"rearm": 7}, "rearm=7; it is an expression"),
        ({"at_once": 1}, "at_once=1; it is True or False"),
        ({"pre": 1.5}, "pre=1.5; it is a duration such as '50ms', or a number of records"),
        ({"post": -1}, "post=-1; it is a duration such as '50ms', or a number of records"),
        ({"pre": "soon"}, "pre='soon'; it is a duration such as '50ms', or a number of records"),
        ({"post": True}, "post=True; it is a duration"),
        ({"channels": ["b"]}, "channels: there is no 'b'"),
        ({"callback": 7}, "callback=7; it is called with the window"),
        ({"store": 7}, "store=7; it is True or False"),
        ({"name": "a/b"}, "name='a/b'; it is 1 to 64 letters"),
        ({"condition": 7}, "condition=7; it is an expression, such as 'hr < 0'"),
        ({"condition": None}, "a trigger needs a condition such as 'hr < 0', or silence= such as '1s'"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict, says: str) -> None:
    with bench() as at:
        with pytest.raises(fr.SchemaError, match=f"^{says}"):
            at.rec.trigger(**{"condition": "hr < 0", "store": False} | options)
        assert at.rec.triggers == ()


def test_only_durations_by_hand_and_only_while_it_runs() -> None:
    with bench() as at:
        with pytest.raises(fr.SchemaError, match=r"^pre and post of a firing by hand are durations"):
            at.rec.fire("why", pre=5, store=False)
        rec = at.rec
    for call in (
        lambda: rec.fire("why", store=False),
        lambda: rec.trigger("hr < 0", store=False),
        lambda: rec.mark("m"),
    ):
        with pytest.raises(fr.RecordingError, match=r"^the recorder is stopped"):
            call()


def test_what_it_says_of_itself() -> None:
    with bench() as at:
        made = {
            "mode==FAULT": {},
            "hr<0  and not (mode==7)": {"dwell": "2s"},
            "changed( hr )": {"edge": "each"},
            "hr>5": {"edge": "falling", "dwell": "1500ms"},
            "hr>6": {"edge": "both", "name": "over.6"},
            "hr == 1": {"silence": "1min"},
        }
        triggers = [at.rec.trigger(one, store=False, **options) for one, options in made.items()]
        triggers.append(at.rec.trigger(silence="250ms", store=False))
        assert [one.condition for one in triggers] == [
            "mode == FAULT",
            "hr < 0 and not mode == 7 for 2 s",
            "changed(hr), each",
            "hr > 5 no more for 1.5 s",
            "hr > 6 or no more",
            "no record with hr == 1 for 1 min",
            "no record for 250 ms",
        ]
        assert repr(triggers[0]) == "<Trigger 'mode == FAULT' on 'c': armed, fired 0 times>"
        names = [one.name for one in triggers]
        assert names[:2] == ["mode-is-FAULT", "hr-lt-0-and-not-mode-is-7-for-2-s"] and names[4] == "over.6"
        assert at.rec.triggers == tuple(triggers)


def test_changes_are_seen_across_looks_and_losses() -> None:
    rec = fr.Recorder()
    rec.add("c", schema=ROW, capacity=64)
    with rec:
        engine = rec._engine
        engine.by_hand = True
        trigger = rec.trigger("changed(hr)", edge="each", holdoff=None, store=False)
        for hr in (1, 1, 2, 2, 2, 3):
            rec["c"].push(np.array((hr, 0), ROW.dtype))
            engine.look()
        assert trigger.fired == 2
        for _ in range(200):
            rec["c"].push(np.array((4, 0), ROW.dtype))
        engine.look()
        assert (trigger.fired, trigger.stats.missed) == (3, 136)

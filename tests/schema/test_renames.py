"""What a user says of names: of fields, structs, arrays and their members, and what is refused."""

from __future__ import annotations

import pytest

from fastrec.errors import SchemaError
from fastrec.schema.renames import new_names, plain, said_shortest

OLD = ["n", "pose.x", "pose.y", "motors[0].pos", "motors[1].pos", "motors[1].v", "grid[0][1].a.b", "poses"]


@pytest.mark.parametrize(
    ("said", "new", "expected"),
    [
        (None, [], {}),
        ({"n": "m"}, ["m"], {"n": "m"}),
        ({"n": None}, ["n"], {"n": None}),
        ({"pose": "p"}, ["p.x", "p.y"], {"pose.x": "p.x", "pose.y": "p.y"}),
        ({"pose": "p", "pose.y": "p.z"}, ["p.x", "p.z"], {"pose.x": "p.x", "pose.y": "p.z"}),
        ({"pose": "p", "pose.y": None}, ["p.x"], {"pose.x": "p.x", "pose.y": None}),
        ({"pose.x": "x"}, ["x"], {"pose.x": "x"}),
        ({"n": "pose.n"}, ["pose.n"], {"n": "pose.n"}),
        # What the struct has left behind stays.
        ({"pose": "p"}, ["p.x", "pose.y"], {"pose.x": "p.x"}),
        (
            {"motors.pos": "motors.angle"},
            ["motors[0].angle", "motors[1].angle"],
            {"motors[0].pos": "motors[0].angle", "motors[1].pos": "motors[1].angle"},
        ),
        (
            {"motors": "axes"},
            ["axes[0].pos"],
            {"motors[0].pos": "axes[0].pos", "motors[1].pos": "axes[1].pos", "motors[1].v": "axes[1].v"},
        ),
        ({"motors[1].pos": "last"}, ["last"], {"motors[1].pos": "last"}),
        (
            {"motors[1]": "last", "motors": None},
            ["last.pos", "last.v"],
            {"motors[0].pos": None, "motors[1].pos": "last.pos", "motors[1].v": "last.v"},
        ),
        ({"grid[0]": "row"}, ["row[1].a.b"], {"grid[0][1].a.b": "row[1].a.b"}),
        ({"grid": "all.of.it"}, ["all.of.it[0][1].a.b"], {"grid[0][1].a.b": "all.of.it[0][1].a.b"}),
    ],
)
def test_new_names(said: dict | None, new: list[str], expected: dict) -> None:
    assert new_names(OLD, new, said) == expected


def test_two_names_may_be_exchanged() -> None:
    assert new_names(["a", "b"], ["a", "b"], {"a": "b", "b": "a"}) == {"a": "b", "b": "a"}


@pytest.mark.parametrize(
    ("said", "new", "why"),
    [
        ({"pos": "p"}, ["p"], "there was no field 'pos'; did you mean 'poses'"),
        ({"pose.z": "p"}, ["p"], "there was no field 'pose.z'"),
        ({"motors[2]": "p"}, ["p"], r"there was no field 'motors\[2\]'"),
        ({"n": "count"}, ["counter"], "there is no field 'count' now; did you mean 'counter'"),
        ({"pose": "position"}, ["positions.x"], "there is no field 'position' now"),
        ({"n": "poses"}, ["poses"], "'n' and 'poses' would both become 'poses'; .* or {'poses': None}"),
        ({"pose.x": "a", "pose.y": "a"}, ["a"], "'pose.x' and 'pose.y' would both become 'a'"),
        ({"motors.pos": "pos"}, ["pos"], "'motors.pos' lies in an array and 'pos' on another level"),
        ({"n": 5}, ["n"], "no two names"),
        ({3: "n"}, ["n"], "no two names"),
        ({"": "n"}, ["n"], "is no path"),
        ({"n": "a..b"}, ["n"], "is no path"),
        ({"n[": "a"}, ["n"], "is no path"),
        ([("n", "m")], ["m"], "pass a mapping"),
        ("n", ["m"], "pass a mapping"),
    ],
)
def test_what_nobody_can_mean(said: object, new: list[str], why: str) -> None:
    with pytest.raises(SchemaError, match=why) as caught:
        new_names(OLD, new, said)
    assert "\n" not in str(caught.value)


def test_paths_without_indices() -> None:
    assert plain("grid[0][1].a[2].b") == "grid.a.b"


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("a", "b"), ("a", "b")),
        (("pose.x", "position.x"), ("pose", "position")),
        (("pose.x", "pose.y"), ("pose.x", "pose.y")),
        (("m[3].pos", "m[3].angle"), ("m.pos", "m.angle")),
        (("m[3].pos", "axes[3].pos"), ("m", "axes")),
        (("m[3].pos", "m[4].pos"), ("m[3]", "m[4]")),
        (("x", "pose.x"), ("x", "pose.x")),
    ],
)
def test_the_shortest_that_can_be_said(pair: tuple[str, str], expected: tuple[str, str]) -> None:
    assert said_shortest(*pair) == expected

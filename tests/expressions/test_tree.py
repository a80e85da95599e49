"""What one finds in a tree."""

from __future__ import annotations

from fastrec.expressions import Binary, Name, names, parse
from fastrec.expressions.tree import walk


def test_names_are_in_the_order_of_the_text() -> None:
    text = "a < b.c or not -d in (E, 'no', 5) and has(`f g`, H) | 1s + i[3] and changed(a) == true"
    found = names(parse(text))
    assert [name.text for name in found] == ["a", "b.c", "d", "E", "f g", "H", "i[3]", "a"]
    assert [name.at for name in found] == sorted(name.at for name in found)
    assert all(text[name.at :].lstrip("`").startswith(name.text) for name in found)
    assert names(parse("'a' < 3")) == ()
    assert names(parse("x")) == (Name("x", 0),)


def test_the_middle_of_a_chain_is_the_same_node_twice() -> None:
    tree = parse("0 < x < 5")
    assert names(tree) == (Name("x", 4), Name("x", 4))
    assert tree.parts[0].right is tree.parts[1].left


def test_a_tree_of_any_height_is_walked() -> None:
    tree = Name("a", 0)
    for place in range(20_000):
        tree = Binary("+", tree, Name(f"b{place}", 0), 0)
    assert max(depth for _, depth in walk(tree)) == 20_001
    assert [name.text for name in names(tree)] == ["a", *(f"b{place}" for place in range(20_000))]

"""Trees of expressions without their places, the same trees by Python's own parser, and random texts."""

from __future__ import annotations

import ast
import random

from fastrec.expressions import (
    Binary,
    Call,
    Compare,
    Constant,
    In,
    Logic,
    Name,
    Node,
    Number,
    Text,
    Unary,
)

OPERATORS = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.And: "and",
    ast.Or: "or",
    ast.Not: "not",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Invert: "~",
}


class Foreign(Exception):
    """What Python reads and this language has not."""


def bare(node: object) -> object:
    """A tree with the types of its nodes, which `==` of tuples does not see, and without their places."""
    if isinstance(node, Node):
        return (type(node).__name__, *map(bare, node[:-1]))
    if isinstance(node, tuple):
        return tuple(map(bare, node))
    return (type(node).__name__, node)


def python_tree(text: str) -> Node:
    """The tree of an expression by Python's parser; SyntaxError or `Foreign`, if there is none."""
    return _node(ast.parse(text, mode="eval").body)


def _node(node: ast.AST) -> Node:
    match node:
        case ast.Name(name):
            return Name(name, 0)
        case ast.Attribute() | ast.Subscript():
            return Name(ast.unparse(node), 0)
        case ast.Constant(bool() | None as value):
            return Constant(value, 0)
        case ast.Constant(str() as value):
            return Text(value, 0)
        case ast.Constant(int() | float() as value):
            return Number(value, 0)
        case ast.UnaryOp(operator, operand):
            return Unary(OPERATORS[type(operator)], _node(operand), 0)
        case ast.BinOp(left, ast.Pow(), right):
            raise Foreign
        case ast.BinOp(left, operator, right):
            return Binary(OPERATORS[type(operator)], _node(left), _node(right), 0)
        case ast.BoolOp(operator, values):
            return _logic(OPERATORS[type(operator)], list(map(_node, values)))
        case ast.Call(ast.Name("has" | "abs" as name), arguments, []):
            return Call(name, tuple(map(_node, arguments)), 0)
        case ast.Compare(left, operators, rights):
            return _chain(left, operators, rights)
    raise Foreign


def _chain(left: ast.AST, operators: list, rights: list) -> Node:
    found: list[Node] = []
    for operator, right in zip(operators, rights, strict=True):
        if isinstance(operator, ast.In | ast.NotIn):
            if right is not rights[-1] or not isinstance(right, ast.Tuple) or not right.elts:
                raise Foreign
            negated = isinstance(operator, ast.NotIn)
            found.append(In(_node(left), tuple(map(_node, right.elts)), negated, 0))
        elif type(operator) in OPERATORS:
            found.append(Compare(OPERATORS[type(operator)], _node(left), _node(right), 0))
        else:
            raise Foreign
        left = right
    return found[0] if len(found) == 1 else _logic("and", found)


def _logic(operator: str, values: list[Node]) -> Node:
    parts: list[Node] = []
    for value in values:
        parts += value.parts if isinstance(value, Logic) and value.operator == operator else (value,)
    return Logic(operator, tuple(parts), 0)


LEAVES = (
    "a",
    "b",
    "ru_utime.tv_sec",
    "cells[3]",
    "m[2].pos[0][1]",
    "7",
    "0x1F",
    "0b101",
    "1_000",
    "1e-3",
    ".5",
)
LEAVES += ("2.", "'FAULT'", '"it\\\'s"', "True", "None", "False")
BINARY = ["+", "-", "*", "/", "//", "%", "&", "|", "^", "<<", ">>"]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]


def expression(source: random.Random, height: int = 5) -> str:
    """A random expression that Python reads, too; parentheses stand anywhere, needed or not."""

    def below() -> str:
        return expression(source, height - 1)

    if height == 0 or source.random() < 0.1:
        return source.choice(LEAVES)
    match source.randrange(9):
        case 0:
            return f"({below()})"
        case 1:
            return f"{source.choice('-+~')}{source.choice(LEAVES)}"
        case 2:
            return f"not {below()}"
        case 3 | 4:
            return f"{below()} {source.choice(BINARY)} {below()}"
        case 5:
            return f"{below()} {source.choice(COMPARISONS)} {below()}"
        case 6:
            choices = ", ".join(below() for _ in range(source.randrange(1, 4)))
            return f"{below()} {source.choice(('in', 'not in'))} ({choices},)"
        case 7:
            word = source.choice((" and ", " or "))
            return word.join(below() for _ in range(source.randrange(2, 4)))
    return source.choice((f"abs({below()})", f"has(a, {below()})"))

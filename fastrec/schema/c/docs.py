"""Docs of members: the comments next to them."""

from __future__ import annotations

import re

from fastrec.schema.c.tokens import Comment, Source, Token

__all__ = ["doc_of"]

_MAX_DOC = 65536
_MARKS = re.compile(r"^[ \t]*(?://[/!]?<?|/\*[*!]?<?|\*(?!/))", re.MULTILINE)
_BRIEF = re.compile(r"[@\\](?:brief|short)\b")


def doc_of(first: Token, last: Token) -> str:
    """The text of the comment behind a member on its line, or of those right before it.

    Parameters
    ----------
    first, last : Token
        Of the declaration; `last` is the ``;`` or ``,`` behind it.

    Returns
    -------
    str
        Without the marks of comments and of Doxygen, on one line; ``""``: there is none.
    """
    source = last.source
    if not source.comments or first.source is not source:
        return ""
    found = _behind(source, last) or _before(source, first)
    text = " ".join(_plain(source.text[comment.start : comment.end]) for comment in found)
    return " ".join(text.split())[:_MAX_DOC]


def _plain(comment: str) -> str:
    text = _MARKS.sub("", comment[:-2] if comment.startswith("/*") else comment)
    return _BRIEF.sub("", text).rstrip("*")


def _index(source: Source, at: int) -> int:
    """How many comments begin before a place."""
    low, high = 0, len(source.comments)
    while low < high:
        middle = (low + high) // 2
        if source.comments[middle].start < at:
            low = middle + 1
        else:
            high = middle
    return low


def _behind(source: Source, last: Token) -> list[Comment]:
    found: list[Comment] = []
    end = last.at + len(last.text)
    column = 0
    for comment in source.comments[_index(source, end) :]:
        between = source.text[end : comment.start]
        if not found:
            if not comment.behind or between.strip(" \t"):
                break
            column = source.column(comment.start)
        else:
            # What goes on below it begins in the same column, or says that it belongs to what is before.
            mark = source.text[comment.start : comment.start + 4]
            below = source.line(comment.start) == source.line(found[-1].end - 1) + 1 and not between.strip()
            if not below or not (source.column(comment.start) == column or mark[2:4] in ("/<", "!<", "*<")):
                break
        found.append(comment)
        end = comment.end
    return found


def _before(source: Source, first: Token) -> list[Comment]:
    found: list[Comment] = []
    line, begin = source.line(first.at), first.at
    at = _index(source, first.at)
    while at:
        comment = source.comments[at - 1]
        if (
            comment.behind
            or source.line(comment.end - 1) < line - 1
            or source.text[comment.end : begin].strip()
        ):
            break
        if _is_behind(source, at - 1):
            break
        found.append(comment)
        line, begin, at = source.line(comment.start), comment.start, at - 1
    return found[::-1]


def _is_behind(source: Source, at: int) -> bool:
    """Whether a comment alone on its line goes on with one behind a member on the line before."""
    comment = source.comments[at]
    mark = source.text[comment.start : comment.start + 4]
    if mark[2:4] in ("/<", "!<", "*<"):
        return True
    column = source.column(comment.start)
    while at:
        at -= 1
        above = source.comments[at]
        adjoins = source.line(above.end - 1) == source.line(comment.start) - 1
        if not adjoins or source.column(above.start) != column:
            return False
        if above.behind:
            return True
        comment = above
    return False

"""Docs of members: the comments next to them."""

from __future__ import annotations

import re

from fastrec.schema.c.tokens import Comment, Source, Token

__all__ = ["doc_of"]

_MAX_DOC = 4096
_MAX_BLANKS = 4096
_MAX_COMMENTS = 256
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
    for at in range(_index(source, end), len(source.comments)):
        comment = source.comments[at]
        if comment.start - end > _MAX_BLANKS:
            break
        between = source.text[end : comment.start]
        if not found:
            if not comment.behind or between.strip(" \t"):
                break
            column = source.column(comment.start)
        else:
            # What goes on below it begins in the same column, or says that it belongs to what is before.
            below = source.line(comment.start) == source.line(found[-1].end - 1) + 1 and not between.strip()
            if not below or not (source.column(comment.start) == column or _says_before(source, comment)):
                break
            if len(found) == _MAX_COMMENTS:
                break
        found.append(comment)
        end = comment.end
    return found


def _before(source: Source, first: Token) -> list[Comment]:
    found: list[Comment] = []
    line, begin = source.line(first.at), first.at
    for at in range(_index(source, first.at) - 1, -1, -1):
        comment = source.comments[at]
        if begin - comment.end > _MAX_BLANKS:
            break
        if source.line(comment.end - 1) < line - 1 or source.text[comment.end : begin].strip():
            break
        if comment.behind:
            # What stands below a comment behind a member, in its column, goes on with it.
            column = source.column(comment.start)
            while found and source.column(found[-1].start) == column:
                found.pop()
            break
        if _says_before(source, comment) or len(found) == _MAX_COMMENTS:
            break
        found.append(comment)
        line, begin = source.line(comment.start), comment.start
    return found[::-1]


def _says_before(source: Source, comment: Comment) -> bool:
    """Whether a comment says that it belongs to what stands before it, as ``/**<`` does."""
    return source.text[comment.start + 2 : comment.start + 4] in ("/<", "!<", "*<")

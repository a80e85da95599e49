"""What the first round trip answers, and where a URL leads. Nothing that a server says is believed."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import NamedTuple

from fastrec.wmdrm.failures import IndividualizationFailure

__all__ = ["BAD_ANSWER", "Place", "Upgrade", "as_bytes", "parse", "quoted", "split"]

BAD_ANSWER = "NS_E_DRM_ERROR_BAD_NET_RESP"
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
URL = re.compile(rb"[!-~\x80-\xff]{1,4096}")


class Place(NamedTuple):
    """What a URL says about where and what to ask."""

    secure: bool
    host: str
    port: int
    path: str


class Upgrade(NamedTuple):
    """What the first round trip answers.

    Attributes
    ----------
    url : str
        Its bytes as they came; those that are not UTF-8 are surrogate escapes.
    sha256 : str
        64 hexadecimal digits.
    size : int or None
        Bytes of the upgrade.
    """

    url: str
    sha256: str
    size: int | None


def as_bytes(url: str) -> bytes:
    """The bytes of a URL as the server said them."""
    return url.encode("utf-8", "surrogateescape")


def quoted(url: str) -> str:
    """A URL as it can be asked for: bytes that are not ASCII percent-encoded."""
    return "".join(chr(byte) if byte < 0x7F else f"%{byte:02X}" for byte in as_bytes(url))


def split(base: str, url: str) -> Place:
    """Where an http or https URL leads; it may be relative to `base`."""
    bad = "ERROR_INTERNET_INVALID_URL"
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(base, url))
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise IndividualizationFailure(bad, f"{url!r}: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise IndividualizationFailure("ERROR_INTERNET_UNRECOGNIZED_SCHEME", f"{url!r} is not http or https")
    if not host or not url.isascii():
        raise IndividualizationFailure(bad, f"{url!r} has no host, or is not ASCII: quote it")
    secure = parts.scheme == "https"
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return Place(secure, host, port or (443 if secure else 80), path)


def parse(answer: bytes) -> Upgrade:
    """The first round trip's answer; nothing in it is believed."""
    try:
        members = json.loads(_decoded(answer))
        url, sha256, size = members["url"], members["sha256"], members.get("size")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"the answer is no JSON object with url and sha256: {error!r}"
        raise IndividualizationFailure(BAD_ANSWER, reason) from error
    if not isinstance(url, str) or not _is_url(url):
        raise IndividualizationFailure(BAD_ANSWER, f"the answer's url is {url!r:.60}")
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise IndividualizationFailure(BAD_ANSWER, f"the answer's sha256 is {sha256!r:.80}")
    if size is not None and (type(size) is not int or size < 0):
        raise IndividualizationFailure(BAD_ANSWER, f"the answer's size is {size!r:.60}")
    return Upgrade(url, sha256, size)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _is_url(url: str) -> bool:
    """1 to 4,096 bytes without blanks and controls. An escaped half of a pair stands for no bytes."""
    try:
        text = as_bytes(url)
    except UnicodeEncodeError:
        return False
    return URL.fullmatch(text) is not None and _decoded(text) == url

"""WM_INDIVIDUALIZE_STATUS: what the struct's bytes mean.

Layout, names and values are those of ``wmdrmsdk.h`` and ``drmexternals.h`` (Windows Media Format SDK 7 to
11). The struct has neither size nor version in it, and no padding under any packing; 28 bytes where a pointer
has four, 32 where it has eight. ``pszIndiRespUrl`` is a ``char *`` of 8-bit text, may be NULL, and belongs to
whoever filled the struct.
"""

from __future__ import annotations

import enum
import uuid
from functools import cache
from typing import Literal, NamedTuple

from fastrec.errors import SchemaError
from fastrec.schema import HResult, Schema

__all__ = [
    "DRM_HTTP_STATUS",
    "DRM_INDIVIDUALIZATION_STATUS",
    "GET_STATUS_SLOT",
    "INDIVIDUALIZATION",
    "IID_IWMDRMIndividualizationStatus",
    "Status",
    "schema",
]

IID_IWMDRMIndividualizationStatus = uuid.UUID("7DB091BD-DB6A-4FA4-BCBF-0783E256C78C")
"""Id of ``IWMDRMIndividualizationStatus``; its one method of its own is GetStatus."""

GET_STATUS_SLOT = 3
"""Slot of ``HRESULT GetStatus(WM_INDIVIDUALIZE_STATUS *)`` in the vtable, after IUnknown's three."""


class DRM_INDIVIDUALIZATION_STATUS(enum.IntFlag):  # noqa: N801
    """How far an individualization is: one bit each, in no order of time; combinations are possible."""

    INDI_UNDEFINED = 0x00  #: reserved; nothing has happened
    INDI_BEGIN = 0x01  #: started
    INDI_SUCCEED = 0x02  #: ended well
    INDI_FAIL = 0x04  #: ended with an error, which ``hr`` names
    INDI_CANCEL = 0x08  #: ended by the application
    INDI_DOWNLOAD = 0x10  #: the upgrade is on its way
    INDI_INSTALL = 0x20  #: the upgrade is being installed


INDIVIDUALIZATION = DRM_INDIVIDUALIZATION_STATUS


class DRM_HTTP_STATUS(enum.IntEnum):  # noqa: N801
    """Where the current round trip is. Outside INDI_DOWNLOAD it is left over from the last one."""

    HTTP_NOTINITIATED = 0
    HTTP_CONNECTING = 1
    HTTP_REQUESTING = 2
    HTTP_RECEIVING = 3
    HTTP_COMPLETED = 4


class Status(NamedTuple):
    """The struct's members as Python values, under their C names."""

    hr: HResult = HResult(0)
    enIndiStatus: DRM_INDIVIDUALIZATION_STATUS = DRM_INDIVIDUALIZATION_STATUS.INDI_UNDEFINED  # noqa: N815
    pszIndiRespUrl: str | None = None  # noqa: N815
    dwHTTPRequest: int = 0  # noqa: N815
    enHTTPStatus: DRM_HTTP_STATUS = DRM_HTTP_STATUS.HTTP_NOTINITIATED  # noqa: N815
    dwHTTPReadProgress: int = 0  # noqa: N815
    dwHTTPReadTotal: int = 0  # noqa: N815


DECLARATIONS = """
typedef enum _DRM_INDIVIDUALIZATION_STATUS {
    INDI_UNDEFINED = 0x00,
    INDI_BEGIN     = 0x01,
    INDI_SUCCEED   = 0x02,
    INDI_FAIL      = 0x04,
    INDI_CANCEL    = 0x08,
    INDI_DOWNLOAD  = 0x10,
    INDI_INSTALL   = 0x20
} DRM_INDIVIDUALIZATION_STATUS;

typedef enum _DRM_HTTP_STATUS {
    HTTP_NOTINITIATED = 0,
    HTTP_CONNECTING,
    HTTP_REQUESTING,
    HTTP_RECEIVING,
    HTTP_COMPLETED
} DRM_HTTP_STATUS;

typedef struct _WMIndividualizeStatus {
    HRESULT hr;                                // outcome so far; the reason when enIndiStatus is INDI_FAIL
    DRM_INDIVIDUALIZATION_STATUS enIndiStatus; // how far the individualization is
    LPSTR pszIndiRespUrl;                      // where the upgrade comes from
    DWORD dwHTTPRequest;                       // round trips completed
    DRM_HTTP_STATUS enHTTPStatus;              // where the current round trip is
    DWORD dwHTTPReadProgress;                  // bytes received in the current round trip
    DWORD dwHTTPReadTotal;                     // bytes the current round trip will have; 0 while unknown
} WM_INDIVIDUALIZE_STATUS;
"""
"""What the headers declare. Both layouts come from this text, by ABI alone."""


@cache
def schema(bits: Literal[32, 64] = 64) -> Schema:
    """Schema of ``WM_INDIVIDUALIZE_STATUS``.

    Parameters
    ----------
    bits : 32 or 64
        Width of a pointer where the struct was filled: 28 bytes, ABI ``"msvc-x86"``, or 32 bytes,
        ``"msvc-x64"``. Individualization ran in 32-bit processes, so old captures have 28 bytes.

    Returns
    -------
    Schema
        Little endian; ``hr`` named by HRESULT, both enumerations labelled, ``pszIndiRespUrl`` a text.

    Raises
    ------
    SchemaError
        Any other width.
    """
    if bits not in (32, 64):
        raise SchemaError(f"WM_INDIVIDUALIZE_STATUS has pointers of 32 or 64 bits, not of {bits!r}")
    abi = "msvc-x64" if bits == 64 else "msvc-x86"
    made = Schema.from_c(DECLARATIONS, "WM_INDIVIDUALIZE_STATUS", abi)
    # An enumeration by its declaration, but its values are bits and combine.
    made = made.with_field("enIndiStatus", labels=DRM_INDIVIDUALIZATION_STATUS)
    for name in ("dwHTTPReadProgress", "dwHTTPReadTotal"):
        made = made.with_field(name, unit="B")
    return made.with_field("pszIndiRespUrl", text=True)

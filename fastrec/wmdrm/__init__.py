"""The flagship: WM_INDIVIDUALIZE_STATUS of the Windows Media Format SDK, recorded and understood."""

from fastrec.wmdrm.client import Individualization
from fastrec.wmdrm.progress import Progress, RoundTrip, progress
from fastrec.wmdrm.status import (
    DRM_HTTP_STATUS,
    DRM_INDIVIDUALIZATION_STATUS,
    INDIVIDUALIZATION,
    Status,
    schema,
)

__all__ = [
    "DRM_HTTP_STATUS",
    "DRM_INDIVIDUALIZATION_STATUS",
    "INDIVIDUALIZATION",
    "Individualization",
    "Progress",
    "RoundTrip",
    "Status",
    "progress",
    "schema",
]

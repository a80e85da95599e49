"""What went wrong, as the HRESULT that Windows would have named it."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

from fastrec.schema import HResult

__all__ = ["OF_NETWORK", "Cancelled", "IndividualizationFailure", "of_answer", "of_disk", "of_network"]


class Cancelled(Exception):
    """The application asked for an end; never leaves the client's thread."""


class IndividualizationFailure(Exception):
    """A step that failed, with its code; never leaves the client's thread.

    Attributes
    ----------
    hr : HResult
        The reason, named.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.hr = HResult.named(name)


# More special classes first.
NETWORK = (
    (ssl.SSLCertVerificationError, "ERROR_INTERNET_INVALID_CA"),
    (ssl.SSLError, "ERROR_INTERNET_SECURITY_CHANNEL_ERROR"),
    (TimeoutError, "ERROR_INTERNET_TIMEOUT"),
    (socket.gaierror, "ERROR_INTERNET_NAME_NOT_RESOLVED"),
    (ConnectionResetError, "ERROR_INTERNET_CONNECTION_RESET"),
    (BrokenPipeError, "ERROR_INTERNET_CONNECTION_ABORTED"),
    (ConnectionAbortedError, "ERROR_INTERNET_CONNECTION_ABORTED"),
    (http.client.IncompleteRead, "ERROR_INTERNET_CONNECTION_ABORTED"),
    (http.client.InvalidURL, "ERROR_INTERNET_INVALID_URL"),
    (http.client.HTTPException, "ERROR_HTTP_INVALID_SERVER_RESPONSE"),
    (UnicodeError, "ERROR_INTERNET_INVALID_URL"),
    (OSError, "ERROR_INTERNET_CANNOT_CONNECT"),
)
OF_NETWORK = (OSError, http.client.HTTPException, UnicodeError)
"""What sockets, TLS and HTTP raise."""

DISK = {
    errno.ENOENT: "ERROR_PATH_NOT_FOUND",
    errno.ENOTDIR: "ERROR_PATH_NOT_FOUND",
    errno.EACCES: "ERROR_ACCESS_DENIED",
    errno.EPERM: "ERROR_ACCESS_DENIED",
    errno.EISDIR: "ERROR_ACCESS_DENIED",
    errno.EROFS: "ERROR_WRITE_PROTECT",
    errno.ENOSPC: "ERROR_DISK_FULL",
    errno.EDQUOT: "ERROR_DISK_QUOTA_EXCEEDED",
    errno.EFBIG: "ERROR_FILE_TOO_LARGE",
    errno.EMFILE: "ERROR_TOO_MANY_OPEN_FILES",
    errno.ENFILE: "ERROR_TOO_MANY_OPEN_FILES",
    errno.ENAMETOOLONG: "ERROR_FILENAME_EXCED_RANGE",
    errno.EIO: "ERROR_IO_DEVICE",
}


def of_network(error: Exception) -> IndividualizationFailure:
    """Failure for what a socket, TLS or HTTP raised; an OSError of no special class could not connect."""
    name = next(name for kind, name in NETWORK if isinstance(error, kind))
    return IndividualizationFailure(name, str(error) or type(error).__name__)


def of_disk(error: OSError) -> IndividualizationFailure:
    """Failure for what a file system raised; an errno without a counterpart is a write fault."""
    return IndividualizationFailure(DISK.get(error.errno or 0, "ERROR_WRITE_FAULT"), str(error))


def of_answer(status: int, reason: str) -> IndividualizationFailure:
    """Failure for an HTTP status that is not 200: of the service for 5xx, else one of facility HTTP."""
    name = "NS_E_DRM_INDIV_SERVICE_UNAVAILABLE" if 500 <= status < 600 else f"0x{0x80190000 | status:08X}"
    return IndividualizationFailure(name, f"the server answered {status} {reason}")

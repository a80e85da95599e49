"""A throw-away certificate for ``localhost``, from the ``openssl`` program."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from fastrec.errors import SourceError

__all__ = ["contexts"]

# All that the certificate says is here: the system's own configuration of openssl is not asked.
CONFIGURATION = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = localhost
[extensions]
subjectAltName = DNS:localhost
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a self-signed certificate of one day, with its key, in `folder`.

    Returns
    -------
    server, client : ssl.SSLContext
        One that has the certificate, and one that trusts nothing else.

    Raises
    ------
    SourceError
        There is no ``openssl``, or it fails.
    """
    configuration, key, certificate = (folder / name for name in ("openssl.cnf", "key.pem", "localhost.pem"))
    configuration.write_text(CONFIGURATION, encoding="ascii")
    files = ["-config", configuration, "-keyout", key, "-out", certificate]
    command = ["openssl", "req", "-x509", "-days", "1", *KEY, *files]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    except OSError as error:
        raise SourceError(
            f"no certificate for localhost: openssl cannot be run ({error.strerror}); install it, or use http"
        ) from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise SourceError(
            f"no certificate for localhost: openssl says {reason!r}; repair it, or use http"
        ) from error
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=certificate)

"""The throw-away certificate: good for localhost and nothing else, or one clear error."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from fastrec.errors import SourceError
from fastrec.wmdrm.certificate import contexts


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """What comes of a handshake."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with suppress(OSError), server.wrap_socket(theirs, server_side=True):
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name):
            return "trusted"
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        thread.join()
        theirs.close()


def test_is_for_localhost_alone(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    assert shaken(server, client, "localhost") == "trusted"
    assert "Hostname mismatch" in shaken(server, client, "localhost.example")
    assert "self-signed" in shaken(server, ssl.create_default_context(), "localhost")
    assert len(client.get_ca_certs()) == 1
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_satisfies_strict_verification(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert shaken(server, client, "localhost") == "trusted"


def test_needs_no_configuration_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENSSL_CONF", str(tmp_path / "missing.cnf"))
    server, client = contexts(tmp_path)
    assert shaken(server, client, "localhost") == "trusted"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (None, "openssl cannot be run (No such file or directory); install it"),
        ("#!/bin/sh\necho a clue >&2\nexit 3\n", "openssl says 'a clue'"),
        ("#!/bin/sh\nexit 3\n", "openssl says 'exit code 3'"),
    ],
)
def test_without_a_working_openssl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, said: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if program is not None:
        (tmp_path / "openssl").write_text(program)
        (tmp_path / "openssl").chmod(0o755)
    with pytest.raises(SourceError) as caught:
        contexts(tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)

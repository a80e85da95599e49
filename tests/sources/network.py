"""Connections in a network of their own, whose losses are known: a program that the tests start.

``network.py SCENARIO FOLDER`` records to FOLDER/run.fastrec and prints what else is known, as JSON. The
network is a namespace of the kernel with nothing but a loopback device: its counters count this connection.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
from pathlib import Path

from waiting import until

import fastrec as fr

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
BPF_RET = 0x06
FIN_WAIT2, CLOSE, CLOSE_WAIT = 5, 7, 8

LIBC = ctypes.CDLL(None, use_errno=True)


def leave_the_network() -> None:
    """Into a namespace of our own; who is not root becomes it in a namespace of users."""
    if LIBC.unshare(CLONE_NEWNET | (CLONE_NEWUSER if os.geteuid() else 0)):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def counter(path: str, family: str, name: str) -> int:
    """One of the namespace's own counters, such as ``Tcp: RetransSegs`` of /proc/net/snmp."""
    lines = [line.split() for line in Path(path).read_text().splitlines() if line.startswith(f"{family}:")]
    return int(dict(zip(*lines[:2], strict=True))[name])


def connection() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        return sender, listener.accept()[0]


def deafen(sock: socket.socket) -> None:
    """Every segment that arrives is dropped: a filter of one instruction, which keeps 0 bytes."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RET, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


def hear(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def receive(sock: socket.socket, count: int) -> None:
    while count:
        count -= len(sock.recv(min(count, 65536)))


def losses(rec: fr.Recorder) -> dict[str, int]:
    """The namespace's counters, once the recorder has seen what they count."""
    slots = rec["sender"].stats.slots
    until(lambda: rec["sender"].stats.slots > slots + 1)
    return {
        "RetransSegs": counter("/proc/net/snmp", "Tcp", "RetransSegs"),
        "TCPTimeouts": counter("/proc/net/netstat", "TcpExt", "TCPTimeouts"),
        "record": rec["sender"].stats.published - 1,
    }


def blackout(folder: Path) -> dict[str, object]:
    """Two stretches without any answer: in the middle of the data, and at the end of the connection."""
    sender, receiver = connection()
    with fr.Recorder(folder / "run.fastrec") as rec:
        rec.add("sender", fr.linux.tcp_info(sender), rate=1000)
        rec.add("receiver", fr.linux.tcp_info(receiver), rate=1000)

        def state(name: str) -> int:
            return rec[name].current()["tcpi_state"]

        sender.sendall(bytes(50_000))
        receive(receiver, 50_000)
        until(lambda: rec["sender"].stats.recorded and rec["receiver"].stats.recorded)
        until(lambda: rec["sender"].current()["tcpi_bytes_acked"] == 50_001)
        quiet = losses(rec)
        deafen(receiver)
        sender.sendall(bytes(7_000))
        until(lambda: rec["sender"].current()["tcpi_backoff"] >= 2)
        hear(receiver)
        receive(receiver, 7_000)
        until(lambda: rec["sender"].current()["tcpi_bytes_acked"] == 57_001)
        data = losses(rec)
        deafen(receiver)
        sender.shutdown(socket.SHUT_WR)
        until(lambda: rec["sender"].current()["tcpi_total_retrans"] > data["RetransSegs"])
        hear(receiver)
        until(lambda: state("sender") == FIN_WAIT2 and state("receiver") == CLOSE_WAIT)
        receiver.shutdown(socket.SHUT_WR)
        until(lambda: state("sender") == CLOSE and state("receiver") == CLOSE)
        end = losses(rec)
    return {"quiet": quiet, "data": data, "end": end}


def notified(folder: Path) -> dict[str, object]:
    """A transfer under explicit congestion notification, which marks each segment ECT(0)."""
    Path("/proc/sys/net/ipv4/tcp_ecn").write_text("1")
    sender, receiver = connection()
    with fr.Recorder(folder / "run.fastrec") as rec:
        rec.add("sender", fr.linux.tcp_info(sender), rate=1000)
        rec.add("receiver", fr.linux.tcp_info(receiver), rate=1000)
        for _ in range(20):
            sender.sendall(bytes(10_000))
            receive(receiver, 10_000)
        until(lambda: rec["sender"].stats.recorded and rec["receiver"].stats.recorded)
        until(lambda: rec["sender"].current()["tcpi_bytes_acked"] == 200_001)
        return losses(rec)


if __name__ == "__main__":
    leave_the_network()
    scenario = {"blackout": blackout, "notified": notified}[sys.argv[1]]
    sys.stdout.write(json.dumps(scenario(Path(sys.argv[2]))))

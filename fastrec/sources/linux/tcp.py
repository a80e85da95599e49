"""A TCP connection as the kernel sees it: ``struct tcp_info`` of tcp(7), option TCP_INFO.

Members, units and values are those of ``linux/tcp.h`` and of what ``tcp_get_info`` of the kernel puts there.
The struct has grown with the kernel, always at its end: 104 bytes, 192 (Linux 4.10), 232 (5.4), 248 (6.7),
280 (6.18). Its last word was two numbers at first; since Linux 7.0 it is bit-fields.
"""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import socket
from functools import cache

import numpy as np

from fastrec.errors import SourceError
from fastrec.schema import Schema
from fastrec.schema.members import Member, Struct
from fastrec.sources.call import INOUT, OUT, Call
from fastrec.sources.linux.layout import Known, described, laid_out

__all__ = ["tcp_info"]

_MOST_BYTES = 4096  # more than the struct will ever have
_MOST_DESCRIPTOR = 0x7FFFFFFF
_NO_TCP = {errno.ENOTSOCK, errno.ENOPROTOOPT, errno.EOPNOTSUPP}


class _State(enum.IntEnum):
    """States of a connection, ``net/tcp_states.h``."""

    TCP_ESTABLISHED = 1
    TCP_SYN_SENT = 2
    TCP_SYN_RECV = 3
    TCP_FIN_WAIT1 = 4
    TCP_FIN_WAIT2 = 5
    TCP_TIME_WAIT = 6
    TCP_CLOSE = 7
    TCP_CLOSE_WAIT = 8
    TCP_LAST_ACK = 9
    TCP_LISTEN = 10
    TCP_CLOSING = 11
    TCP_NEW_SYN_RECV = 12


class _Congestion(enum.IntEnum):
    """States of the congestion control, ``enum tcp_ca_state``."""

    TCP_CA_Open = 0
    TCP_CA_Disorder = 1
    TCP_CA_CWR = 2
    TCP_CA_Recovery = 3
    TCP_CA_Loss = 4


class _Options(enum.IntFlag):
    """``TCPI_OPT_*``: what both ends agreed on."""

    TCPI_OPT_TIMESTAMPS = 1
    TCPI_OPT_SACK = 2
    TCPI_OPT_WSCALE = 4
    TCPI_OPT_ECN = 8  #: explicit congestion notification
    TCPI_OPT_ECN_SEEN = 16  #: and a packet that uses it was received
    TCPI_OPT_SYN_DATA = 32  #: data in the SYN was acknowledged
    TCPI_OPT_USEC_TS = 64  #: timestamps are in us
    TCPI_OPT_TFO_CHILD = 128  #: made by a SYN with a Fast Open cookie


class _FastOpen(enum.IntEnum):
    """Why Fast Open failed at the client, ``enum tcp_fastopen_client_fail``."""

    TFO_STATUS_UNSPEC = 0
    TFO_COOKIE_UNAVAILABLE = 1
    TFO_DATA_NOT_ACKED = 2
    TFO_SYN_RETRANSMITTED = 3


class _EcnMode(enum.IntEnum):
    """``TCPI_ECN_MODE_*``: which explicit congestion notification was agreed on."""

    TCPI_ECN_MODE_DISABLED = 0
    TCPI_ECN_MODE_RFC3168 = 1
    TCPI_ECN_MODE_ACCECN = 2
    TCPI_ECN_MODE_PENDING = 3


class _OptionSeen(enum.IntEnum):
    """``TCP_ACCECN_OPT_*_SEEN``: the Accurate ECN option as received."""

    TCP_ACCECN_OPT_NOT_SEEN = 0
    TCP_ACCECN_OPT_EMPTY_SEEN = 1
    TCP_ACCECN_OPT_COUNTER_SEEN = 2
    TCP_ACCECN_OPT_FAIL_SEEN = 3


class _FailMode(enum.IntFlag):
    """``TCP_ACCECN_*_FAIL_*``: what of Accurate ECN does not work on this path."""

    TCP_ACCECN_ACE_FAIL_SEND = 1
    TCP_ACCECN_ACE_FAIL_RECV = 2
    TCP_ACCECN_OPT_FAIL_SEND = 4
    TCP_ACCECN_OPT_FAIL_RECV = 8


_U8, _U16, _U32, _U64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64

_MEMBERS = {  # name: (C type, width of a bit-field or 0, what is known)
    "tcpi_state": (_U8, 0, Known("state of the connection", labels=_State)),
    "tcpi_ca_state": (_U8, 0, Known("state of the congestion control", labels=_Congestion)),
    "tcpi_retransmits": (_U8, 0, Known("timeouts in a row without an answer")),
    "tcpi_probes": (_U8, 0, Known("window and keepalive probes without an answer")),
    "tcpi_backoff": (_U8, 0, Known("how often the timeout was doubled")),
    "tcpi_options": (_U8, 0, Known("what both ends agreed on", labels=_Options)),
    "tcpi_snd_wscale": (_U8, 4, Known("the window the peer announces counts 2**this bytes")),
    "tcpi_rcv_wscale": (_U8, 4, Known("the window we announce counts 2**this bytes")),
    "tcpi_delivery_rate_app_limited": (_U8, 1, Known("1: the rate was limited by who sends, not by the net")),
    "tcpi_fastopen_client_fail": (_U8, 2, Known("why Fast Open failed", labels=_FastOpen)),
    "tcpi_rto": (_U32, 0, Known("retransmission timeout, backoff included", "us")),
    "tcpi_ato": (_U32, 0, Known("timeout of a delayed acknowledgement", "us")),
    "tcpi_snd_mss": (_U32, 0, Known("largest segment sent", "B")),
    "tcpi_rcv_mss": (_U32, 0, Known("largest segment expected, an estimate", "B")),
    "tcpi_unacked": (_U32, 0, Known("segments on their way; of a listener: connections that wait")),
    "tcpi_sacked": (_U32, 0, Known("segments acknowledged out of order; of a listener: most that may wait")),
    "tcpi_lost": (_U32, 0, Known("segments on their way that seem lost")),
    "tcpi_retrans": (_U32, 0, Known("segments on their way that were sent again")),
    "tcpi_fackets": (_U32, 0, Known("unused since Linux 4.15")),
    "tcpi_last_data_sent": (_U32, 0, Known("time since data was sent", "ms")),
    "tcpi_last_ack_sent": (_U32, 0, Known("unused: the kernel does not remember it", "ms")),
    "tcpi_last_data_recv": (_U32, 0, Known("time since data was received", "ms")),
    "tcpi_last_ack_recv": (_U32, 0, Known("time since an acknowledgement was received", "ms")),
    "tcpi_pmtu": (_U32, 0, Known("largest packet of the path", "B")),
    "tcpi_rcv_ssthresh": (_U32, 0, Known("the window we announce grows fast up to this", "B")),
    "tcpi_rtt": (_U32, 0, Known("round trip, smoothed", "us")),
    "tcpi_rttvar": (_U32, 0, Known("round trip: mean deviation", "us")),
    "tcpi_snd_ssthresh": (_U32, 0, Known("slow start ends at this window, in segments")),
    "tcpi_snd_cwnd": (_U32, 0, Known("congestion window, in segments")),
    "tcpi_advmss": (_U32, 0, Known("largest segment we announced", "B")),
    "tcpi_reordering": (_U32, 0, Known("reordering to expect, in segments")),
    "tcpi_rcv_rtt": (_U32, 0, Known("round trip as the receiver estimates it", "us")),
    "tcpi_rcv_space": (_U32, 0, Known("what the application reads in a round trip; sizes the buffer", "B")),
    "tcpi_total_retrans": (_U32, 0, Known("segments sent again so far")),
    "tcpi_pacing_rate": (_U64, 0, Known("rate of sending; 2**64-1: not limited", "B/s")),
    "tcpi_max_pacing_rate": (_U64, 0, Known("SO_MAX_PACING_RATE; 2**64-1: not limited", "B/s")),
    "tcpi_bytes_acked": (_U64, 0, Known("acknowledged by the peer so far; SYN and FIN count 1 each", "B")),
    "tcpi_bytes_received": (_U64, 0, Known("received in order so far; FIN counts 1", "B")),
    "tcpi_segs_out": (_U32, 0, Known("segments sent so far, those without data too")),
    "tcpi_segs_in": (_U32, 0, Known("segments received so far, those without data too")),
    "tcpi_notsent_bytes": (_U32, 0, Known("written, but not sent yet", "B")),
    "tcpi_min_rtt": (_U32, 0, Known("smallest round trip of late; 2**32-1: none yet", "us")),
    "tcpi_data_segs_in": (_U32, 0, Known("segments with data received so far")),
    "tcpi_data_segs_out": (_U32, 0, Known("segments with data sent so far, those sent again too")),
    "tcpi_delivery_rate": (_U64, 0, Known("newest measured rate of delivery", "B/s")),
    "tcpi_busy_time": (_U64, 0, Known("time with data to send", "us")),
    "tcpi_rwnd_limited": (_U64, 0, Known("time stopped by the peer's window", "us")),
    "tcpi_sndbuf_limited": (_U64, 0, Known("time stopped by our send buffer", "us")),
    "tcpi_delivered": (_U32, 0, Known("segments delivered so far, SYN and those sent again too")),
    "tcpi_delivered_ce": (_U32, 0, Known("those of them that met congestion")),
    "tcpi_bytes_sent": (_U64, 0, Known("data sent so far, sent again too", "B")),
    "tcpi_bytes_retrans": (_U64, 0, Known("data sent again so far", "B")),
    "tcpi_dsack_dups": (_U32, 0, Known("duplicates the peer reported")),
    "tcpi_reord_seen": (_U32, 0, Known("reorderings seen")),
    "tcpi_rcv_ooopack": (_U32, 0, Known("packets received out of order")),
    "tcpi_snd_wnd": (_U32, 0, Known("window the peer announces", "B")),
    "tcpi_rcv_wnd": (_U32, 0, Known("window we announce", "B")),
    "tcpi_rehash": (_U32, 0, Known("times another path was tried")),
    "tcpi_total_rto": (_U16, 0, Known("retransmission timeouts so far, those of the SYN too")),
    "tcpi_total_rto_recoveries": (_U16, 0, Known("recoveries from such timeouts, an unfinished one too")),
    "tcpi_total_rto_time": (_U32, 0, Known("time spent in them", "ms")),
    "tcpi_received_ce": (_U32, 0, Known("segments received that met congestion")),
    "tcpi_delivered_e1_bytes": (_U32, 0, Known("data delivered under ECT(1), modulo 2**32", "B")),
    "tcpi_delivered_e0_bytes": (_U32, 0, Known("data delivered under ECT(0), modulo 2**32", "B")),
    "tcpi_delivered_ce_bytes": (_U32, 0, Known("data delivered that met congestion, modulo 2**32", "B")),
    "tcpi_received_e1_bytes": (_U32, 0, Known("data received under ECT(1), modulo 2**32", "B")),
    "tcpi_received_e0_bytes": (_U32, 0, Known("data received under ECT(0), modulo 2**32", "B")),
    "tcpi_received_ce_bytes": (_U32, 0, Known("data received that met congestion, modulo 2**32", "B")),
}

_ECN_MODE = Known("explicit congestion notification agreed on", labels=_EcnMode)
_OPT_SEEN = Known("the Accurate ECN option as received", labels=_OptionSeen)
_FAIL_MODE = Known("what of Accurate ECN does not work", labels=_FailMode)

_LAST_WORD = {  # by whether it is bit-fields
    False: {"tcpi_accecn_fail_mode": (_U16, 0, _FAIL_MODE), "tcpi_accecn_opt_seen": (_U16, 0, _OPT_SEEN)},
    True: {
        "tcpi_ecn_mode": (_U32, 2, _ECN_MODE),
        "tcpi_accecn_opt_seen": (_U32, 2, _OPT_SEEN),
        "tcpi_accecn_fail_mode": (_U32, 4, _FAIL_MODE),
        "tcpi_options2": (_U32, 24, Known("more options, of which none has a meaning yet")),
    },
}

_MORE = Known("what this kernel tells beyond the members that are known here")


class _Borrowed(ctypes.c_int):
    """A descriptor as an argument: a call keeps its arguments, and this one whoever would close it."""

    owner: object


@cache
def _schema(size: int, release: str) -> Schema:
    """The schema of a struct of `size` bytes as the kernel `release` fills it."""
    members = _MEMBERS | _LAST_WORD[int(release.partition(".")[0]) >= 7]
    fields = [(name, type_, *([width] if width else [])) for name, (type_, width, _) in members.items()]
    whole = laid_out(type("tcp_info", (ctypes.Structure,), {"_fields_": fields}))
    kept = [member for member in whole.members if member.offset + member.nbytes <= size]
    end = max((member.offset + member.nbytes for member in kept), default=0)
    if end < size:
        kept.append(Member("tcpi_more", end, np.dtype(f"V{size - end}")))
    layout = Struct(size, tuple(kept))
    known = {name: one for name, (_, _, one) in members.items()} | {"tcpi_more": _MORE}
    return described("tcp_info", layout, {leaf.name: known[leaf.name] for leaf in layout.leaves()})


def tcp_info(sock: socket.socket | int) -> Call:
    """``linux:tcp_info:FD``: state, round trip, windows and losses of a TCP connection; by getsockopt(2).

    Parameters
    ----------
    sock : socket.socket, an object with ``fileno()``, or a descriptor
        The object is kept alive, but not its connection: the descriptor is not duplicated.

    Returns
    -------
    Call
        Payload ``struct tcp_info`` as long as this kernel makes it: 280 bytes on Linux 6.18. Older kernels
        lack the last members; what a newer one adds is ``tcpi_more``, raw bytes.

    Raises
    ------
    SourceError
        A closed descriptor, or one that is no TCP socket.

    Notes
    -----
    After ``sock.close()`` calls fail with EBADF, which a recording shows as a gap with that code, until the
    process opens something else under the same number. Stop the recorder first if that may happen.
    """
    number = _number(sock)
    size = _size(number)
    descriptor = _Borrowed(number)
    descriptor.owner = sock
    return Call(
        ctypes.CDLL(None).getsockopt,
        descriptor,
        socket.IPPROTO_TCP,
        socket.TCP_INFO,
        OUT,
        INOUT(size),
        schema=_schema(size, os.uname().release),
    )


def _number(sock: socket.socket | int) -> int:
    if isinstance(sock, int) and not isinstance(sock, bool):
        number = sock
    elif callable(fileno := getattr(sock, "fileno", None)):
        number = fileno()
    else:
        raise SourceError(f"linux:tcp_info takes a TCP socket or its descriptor, not a {type(sock).__name__}")
    if not 0 <= number <= _MOST_DESCRIPTOR:
        raise SourceError(f"linux:tcp_info: {sock!r} is closed or no descriptor; pass an open TCP socket")
    return number


def _size(number: int) -> int:
    """How many bytes the kernel fills."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer, length = ctypes.create_string_buffer(_MOST_BYTES), ctypes.c_uint32(_MOST_BYTES)
    failed = libc.getsockopt(number, socket.IPPROTO_TCP, socket.TCP_INFO, buffer, ctypes.byref(length))
    code = ctypes.get_errno()
    if failed and code in _NO_TCP:
        raise SourceError(f"linux:tcp_info: descriptor {number} is no TCP socket; pass an open one")
    if failed and code == errno.EBADF:
        raise SourceError(f"linux:tcp_info: descriptor {number} is not open; pass that of a TCP socket")
    if failed or not length.value:
        raise SourceError(
            f"linux:tcp_info: the kernel tells nothing of descriptor {number}: {os.strerror(code)}"
        )
    return length.value

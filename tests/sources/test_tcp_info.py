"""``linux:tcp_info``: real connections, whose transfers and losses are known from elsewhere."""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import Cause

Pair = tuple[socket.socket, socket.socket]

TESTS = Path(__file__).parents[1]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two ends of a connection through the loopback device."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
    with client, server:
        yield client, server


def names(records: fr.Records, field: str) -> list[str]:
    """The states a field went through."""
    labels = records.schema.field(field).labels
    raw = [records[field][0], *(row["to"] for row in records.transitions(field))]
    return [labels.name(int(value)) for value in raw]


class Scenario(NamedTuple):
    """What ``network.py`` recorded and counted."""

    known: dict
    run: fr.Recording

    def at(self, moment: str, field: str) -> int:
        """A member of the sender at a moment whose counters are known."""
        return int(self.run["sender"][field][self.known[moment]["record"]])


def play(folder: Path, name: str) -> Scenario:
    done = subprocess.run(
        [sys.executable, TESTS / "sources" / "network.py", name, folder],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return Scenario(json.loads(done.stdout), fr.open(folder / "run.fastrec"))


@pytest.fixture(scope="module")
def blackout(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return play(tmp_path_factory.mktemp("blackout"), "blackout")


class TestTransfer:
    def test_bytes(self, pair: Pair, tmp_path: Path) -> None:
        """Twelve megabytes one way, a little the other: at the end every byte is accounted for, once."""
        client, server = pair
        there, back = 12_345_678, 4_321
        received = []

        def receive() -> None:
            left = there
            while left:
                left -= len(server.recv(min(left, 1 << 16)))
            server.sendall(bytes(back))
            received.append(there)

        path = tmp_path / "run.fastrec"
        with fr.Recorder(path) as rec:
            for name, sock in (("client", client), ("server", server)):
                rec.add(name, fr.linux.tcp_info(sock), rate=5000)
            until(lambda: rec["client"].stats.recorded and rec["server"].stats.recorded)
            thread = threading.Thread(target=receive)
            thread.start()
            client.sendall(bytes(there))
            answer = b""
            while len(answer) < back:
                answer += client.recv(back)
            thread.join()
            until(lambda: rec["client"].current()["tcpi_bytes_acked"] == there + 1)
            until(lambda: rec["client"].current()["tcpi_bytes_received"] == back)
            until(lambda: rec["server"].current()["tcpi_bytes_acked"] == back)
        run = fr.open(path)
        for name, sent, got, synchronized in (("client", there, back, 1), ("server", back, there, 0)):
            records = run[name]
            last = {field: int(records[f"tcpi_{field}"][-1]) for field in ("bytes_acked", "bytes_received")}
            assert last == {"bytes_acked": sent + synchronized, "bytes_received": got}
            again = records["tcpi_bytes_retrans"]
            assert int(records["tcpi_bytes_sent"][-1]) == sent + int(again[-1])
            for field in ("bytes_sent", "bytes_acked", "bytes_received", "segs_out", "segs_in", "busy_time"):
                column = records[f"tcpi_{field}"].astype(np.int64)
                assert (np.diff(column) >= 0).all(), field
            acked, out = records["tcpi_bytes_acked"], records["tcpi_bytes_sent"]
            assert (acked <= out + 1).all()
            assert names(records, "tcpi_state") == ["TCP_ESTABLISHED"]
            assert run.stats[name]["failed"] == 0
        # What one end sent in segments the other one got: nothing is lost on the way through memory.
        ends = {name: {f.name: int(run[name][f.name][-1]) for f in run[name].schema.fields} for name in run}
        for one, other in (("client", "server"), ("server", "client")):
            assert ends[one]["tcpi_data_segs_out"] == ends[other]["tcpi_data_segs_in"] > 0
            assert ends[one]["tcpi_snd_wscale"] == ends[other]["tcpi_rcv_wscale"]

    def test_what_the_socket_says_itself(self, pair: Pair) -> None:
        """Options of the socket that are told by other calls too."""
        client, server = pair
        level, option = socket.IPPROTO_TCP, 47  # SO_MAX_PACING_RATE
        client.setsockopt(socket.SOL_SOCKET, option, 123_456)
        server.sendall(bytes(77))
        client.recv(77)
        read = fr.linux.tcp_info(client).read()
        assert read["tcpi_max_pacing_rate"] == 123_456
        assert read["tcpi_snd_mss"] == client.getsockopt(level, socket.TCP_MAXSEG)
        assert read["tcpi_bytes_received"] == 77 and read["tcpi_data_segs_in"] == 1
        assert "TCPI_OPT_ECN" not in read["tcpi_options"] and read["tcpi_ca_state"] == "TCP_CA_Open"

    def test_notsent(self, pair: Pair) -> None:
        """Nobody reads: what does not fit both windows waits here."""
        client, _ = pair
        client.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += client.send(bytes(1 << 16))
        source = fr.linux.tcp_info(client)
        until(lambda: source.read()["tcpi_bytes_acked"] + source.read()["tcpi_notsent_bytes"] == sent + 1)
        assert source.read()["tcpi_notsent_bytes"] > 0

    def test_a_listener(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=7) as listener:
            waiting = [socket.create_connection(listener.getsockname()) for _ in range(3)]
            read = fr.linux.tcp_info(listener).read()
            for sock in waiting:
                sock.close()
        assert (read["tcpi_state"], read["tcpi_unacked"], read["tcpi_sacked"]) == ("TCP_LISTEN", 3, 7)


class TestBlackout:
    """A connection whose receiver hears nothing for a while, twice."""

    @pytest.mark.parametrize("moment", ["quiet", "data", "end"])
    def test_retransmits_are_those_of_the_namespace(self, blackout: Scenario, moment: str) -> None:
        assert blackout.at(moment, "tcpi_total_retrans") == blackout.known[moment]["RetransSegs"]
        if "tcpi_total_rto" in blackout.run["sender"].schema.dtype.names:
            assert blackout.at(moment, "tcpi_total_rto") == blackout.known[moment]["TCPTimeouts"]

    def test_there_were_some(self, blackout: Scenario) -> None:
        retransmitted = [blackout.known[moment]["RetransSegs"] for moment in ("quiet", "data", "end")]
        assert retransmitted[0] == 0 and all(one < other for one, other in pairwise(retransmitted))

    def test_bytes_sent_again(self, blackout: Scenario) -> None:
        """Seven thousand bytes were one segment, so each retransmission of data is one of them."""
        assert blackout.at("quiet", "tcpi_bytes_retrans") == 0
        again = blackout.at("data", "tcpi_bytes_retrans")
        assert again == 7_000 * blackout.known["data"]["RetransSegs"]
        assert blackout.at("data", "tcpi_bytes_sent") == 57_000 + again
        assert blackout.at("end", "tcpi_bytes_retrans") == again, "a FIN has no bytes"
        receiver = blackout.run["receiver"]["tcpi_bytes_received"]
        assert 57_000 in receiver and receiver[-1] == 57_001

    def test_seen_while_it_was_stuck(self, blackout: Scenario) -> None:
        """Timeouts in a row and the doubled timeout rise step by step, and go when an answer comes."""
        first, last = (blackout.known[moment]["record"] for moment in ("quiet", "data"))
        stuck = blackout.run["sender"][first : last + 1]
        for field in ("tcpi_retransmits", "tcpi_backoff"):
            steps = [int(row["to"]) for row in stuck.transitions(field)]
            assert steps[:-1] == sorted(set(steps[:-1])) and steps[-1] == 0 and steps[-2] >= 2, (field, steps)
        congestion = names(stuck, "tcpi_ca_state")
        assert congestion[0] == congestion[-1] == "TCP_CA_Open" and "TCP_CA_Loss" in congestion
        backoff, timeout = stuck["tcpi_backoff"], stuck["tcpi_rto"].astype(np.int64)
        assert (timeout[backoff == 2] == 4 * timeout[backoff == 0][0]).all()
        assert (stuck.where(tcpi_ca_state="TCP_CA_Loss")["tcpi_unacked"] == 1).all()

    def test_the_units_of_time(self, blackout: Scenario) -> None:
        """Each timeout fires after the time it named, by the recorder's own stamps."""
        first, last = (blackout.known[moment]["record"] for moment in ("quiet", "data"))
        stuck = blackout.run["sender"][first : last + 1]
        one, two = stuck.transitions("tcpi_backoff")["time"][:2].tolist()
        named = int(stuck["tcpi_rto"][stuck["tcpi_backoff"] == 1][0]) * 1000
        assert two - one == pytest.approx(named, rel=0.5)
        silence = stuck["tcpi_last_ack_recv"].astype(np.int64)[stuck["tcpi_backoff"] == 1]
        stamps = stuck["mono_ns"][stuck["tcpi_backoff"] == 1]
        assert (silence[-1] - silence[0]) * 1e6 == pytest.approx(stamps[-1] - stamps[0], rel=0.5)
        assert stuck.schema.field("tcpi_rto").unit == "us"
        assert stuck.schema.field("tcpi_last_ack_recv").unit == "ms"

    def test_states_as_it_closes(self, blackout: Scenario) -> None:
        run = blackout.run
        assert names(run["sender"], "tcpi_state") == [
            "TCP_ESTABLISHED",
            "TCP_FIN_WAIT1",
            "TCP_FIN_WAIT2",
            "TCP_CLOSE",
        ]
        receiver = names(run["receiver"], "tcpi_state")
        assert receiver in (
            ["TCP_ESTABLISHED", "TCP_CLOSE_WAIT", "TCP_CLOSE"],
            ["TCP_ESTABLISHED", "TCP_CLOSE_WAIT", "TCP_LAST_ACK", "TCP_CLOSE"],
        )


def test_bytes_under_congestion_notification(tmp_path: Path) -> None:
    """Whole segments are marked ECT(0), and the kernel counts their bytes apart."""
    scenario = play(tmp_path, "notified")
    last = scenario.run["receiver"].decode()
    assert {"TCPI_OPT_ECN", "TCPI_OPT_ECN_SEEN"} <= set(last["tcpi_options"][-1].split("|"))
    if "tcpi_received_e0_bytes" in last:
        received = [int(last[f"tcpi_received_{kind}_bytes"][-1]) for kind in ("e1", "e0", "ce")]
        assert received == [0, int(last["tcpi_bytes_received"][-1]), 0] == [0, 200_000, 0]


class TestDescriptor:
    def test_a_connection_closed_under_the_recorder(self, pair: Pair, tmp_path: Path) -> None:
        """The descriptor is not duplicated: the peer sees the end, and the recording tells EBADF."""
        client, server = pair
        high = fcntl.fcntl(client, fcntl.F_DUPFD_CLOEXEC, 700)  # a number that nothing else is given soon
        client.close()
        client = socket.socket(fileno=high)
        path = tmp_path / "run.fastrec"
        with fr.Recorder(path) as rec:
            channel = rec.add("tcp", fr.linux.tcp_info(client), rate=1000)
            until(lambda: channel.stats.recorded > 10)
            client.close()
            server.settimeout(30)
            assert server.recv(1) == b""
            until(lambda: channel.stats.failed > 10)
        records = fr.open(path)["tcp"]
        failed = records.gaps[records.gaps["cause"] == Cause.FAILED]
        assert set(failed["code"].tolist()) == {errno.EBADF}
        assert failed["count"].sum() == channel.stats.failed
        assert names(records, "tcpi_state")[0] == "TCP_ESTABLISHED"

    def test_the_socket_lives_as_long_as_it_is_polled(self, pair: Pair) -> None:
        client = socket.socket(fileno=pair[0].detach())
        seen = weakref.ref(client)

        def record(client: socket.socket) -> Callable[[], None]:
            rec = fr.Recorder()
            channel = rec.add("tcp", fr.linux.tcp_info(client), rate="max")
            rec.start()

            def end() -> None:
                until(lambda: channel.stats.recorded > 1000)
                rec.stop()
                assert channel.stats.failed == 0

            return end

        end = record(client)
        del client
        gc.collect()
        assert seen() is not None
        end()
        with seen() as alive:
            assert alive.fileno() >= 0
        del end, alive
        gc.collect()
        assert seen() is None

    def test_what_else_has_a_descriptor(self, pair: Pair) -> None:
        class Transport:
            def fileno(self) -> int:
                return pair[0].fileno()

        assert fr.linux.tcp_info(Transport()).read()["tcpi_state"] == "TCP_ESTABLISHED"
        assert fr.linux.tcp_info(pair[0].fileno()).read()["tcpi_state"] == "TCP_ESTABLISHED"

    def test_refused(self, pair: Pair, tmp_path: Path) -> None:
        def check(sock: object, complaint: str) -> None:
            with pytest.raises(fr.SourceError) as caught:
                fr.linux.tcp_info(sock)
            assert str(caught.value).startswith("linux:tcp_info") and str(caught.value).endswith(complaint)

        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_UNIX) as unix,
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink,
            (tmp_path / "file").open("wb") as file,
        ):
            for other in (udp, unix, netlink, file):
                check(other, f"descriptor {other.fileno()} is no TCP socket; pass an open one")
        number = pair[0].fileno()
        pair[0].close()
        check(number, f"descriptor {number} is not open; pass that of a TCP socket")
        check(pair[0], "is closed or no descriptor; pass an open TCP socket")
        check(-1, "-1 is closed or no descriptor; pass an open TCP socket")
        check(1 << 32, "4294967296 is closed or no descriptor; pass an open TCP socket")
        for other in (None, "5", 5.0, True):
            check(other, f"takes a TCP socket or its descriptor, not a {type(other).__name__}")

"""Layouts of the built-in getters, as the C compiler has them from the system's own headers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from programs import build, run

from fastrec.schema import Field, Schema
from fastrec.sources.linux import clock, files, system, tcp, usage

HOLES = {  # bytes of the struct that no member has: padding, or what the header calls reserved
    "rusage": [],
    "sysinfo": [(82, 88), (108, 112)],
    "timex": [(4, 8), (44, 48), (116, 120), (164, 208)],
    "stat": [(36, 40), (120, 144)],
    "tcp_info": [],
}

HEADERS = ("sys/resource.h", "sys/sysinfo.h", "sys/timex.h", "sys/stat.h", "linux/tcp.h", "linux/version.h")


def compiled(folder: Path, expressions: list[str], headers: tuple[str, ...] = HEADERS) -> list[int]:
    """Values of C expressions."""
    lines = [f"#include <{header}>" for header in ("stdio.h", "stddef.h", "string.h", *headers)]
    lines += ["int main(void) {", '    printf("[");']
    lines += [
        f'    printf("{"," if n else ""}%lld", (long long)({one}));' for n, one in enumerate(expressions)
    ]
    lines += ['    printf("]");', "    return 0;", "}"]
    source = folder / "expressions.c"
    source.write_text("\n".join(lines))
    done = run(build(folder, str(source), "-Wno-type-limits"))
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Schema]:
    """As long as the installed header knows them."""
    folder = tmp_path_factory.mktemp("headers")
    size, major = compiled(folder, ["sizeof(struct tcp_info)", "LINUX_VERSION_CODE >> 16"])
    return {
        "rusage": usage._schema(),
        "sysinfo": system._schema(1),
        "timex": clock._schema(),
        "stat": files._schema(),
        "tcp_info": tcp._schema(size, f"{major}.0"),
    }


def place(struct: str, field: Field) -> list[str]:
    """C for offset, size, element size and whether the element has a sign."""
    member = f"((struct {struct} *)0)->{field.name}"
    element = member + "[0]" * len(field.shape)
    return [
        f"offsetof(struct {struct}, {field.name})",
        f"sizeof({member})",
        f"sizeof({element})",
        f"(__typeof__({element}))-1 < 0",
    ]


@pytest.mark.parametrize("name", HOLES)
def test_every_member_lies_where_c_puts_it(schemas: dict[str, Schema], name: str, tmp_path: Path) -> None:
    schema = schemas[name]
    assert schema.name == name and schema.abi == "sysv-x64"
    whole = [field for field in schema.fields if field.bits is None]
    size, *found = compiled(
        tmp_path, [f"sizeof(struct {name})", *(one for field in whole for one in place(name, field))]
    )
    assert schema.size == size
    assert found == [
        number
        for field in whole
        for number in (field.offset, field.nbytes, field.dtype.itemsize, field.dtype.kind == "i")
    ]


def test_bit_fields_lie_where_c_puts_them(schemas: dict[str, Schema], tmp_path: Path) -> None:
    """Each is set to all ones in a struct of zeros, whose bytes are compared."""
    schema = schemas["tcp_info"]
    bits = [field for field in schema.fields if field.bits is not None]
    assert len(bits) >= 4
    expressions = [
        f"({{ union {{ struct tcp_info info; unsigned char bytes[sizeof(struct tcp_info)]; }} u;"
        f" memset(&u, 0, sizeof u); u.info.{field.name} = -1; u.bytes[{field.offset} + {byte}]; }})"
        for field in bits
        for byte in range(field.dtype.itemsize)
    ]
    found = compiled(tmp_path, expressions)
    expected = [
        byte
        for field in bits
        for byte in (((1 << field.bits[1]) - 1) << field.bits[0]).to_bytes(field.dtype.itemsize, "little")
    ]
    assert found == expected


@pytest.mark.parametrize("name", HOLES)
def test_no_member_is_missing(schemas: dict[str, Schema], name: str) -> None:
    schema = schemas[name]
    used = bytearray(schema.size)
    for field in schema.fields:
        used[field.offset : field.offset + field.nbytes] = bytes([1]) * field.nbytes
    assert [match.span() for match in re.finditer(rb"\0+", used)] == HOLES[name]


@pytest.mark.parametrize("name", HOLES)
def test_every_member_is_described(schemas: dict[str, Schema], name: str) -> None:
    assert [field.name for field in schemas[name].fields if not field.doc] == []


class TestNames:
    """Names of values are those of the headers."""

    def check(self, folder: Path, schema: Schema, *fields: str, header: str = "") -> None:
        """Of names that an older `header` lacks, those it has."""
        names = [
            (label, value)
            for field in fields
            for label, value in schema.field(field).labels.enumerators
            if not header or label in header
        ]
        assert names and compiled(folder, [label for label, _ in names]) == [value for _, value in names]

    def test_of_modes(self, tmp_path: Path) -> None:
        self.check(tmp_path, files._schema(), "st_mode")

    def test_of_the_clock(self, tmp_path: Path) -> None:
        self.check(tmp_path, clock._schema(), "status")

    def test_of_connections(self, tmp_path: Path, schemas: dict[str, Schema]) -> None:
        schema = schemas["tcp_info"]
        fields = [field.name for field in schema.fields if field.labels and field.name != "tcpi_state"]
        self.check(tmp_path, schema, *fields, header=Path("/usr/include/linux/tcp.h").read_text())

    def test_that_debian_12_does_not_have_yet(self) -> None:
        schema = tcp._schema(280, "7.0")
        assert schema.field("tcpi_options").labels.name(0xC0) == "TCPI_OPT_USEC_TS|TCPI_OPT_TFO_CHILD"
        for field, texts in (
            ("tcpi_ecn_mode", ["DISABLED", "RFC3168", "ACCECN", "PENDING"]),
            ("tcpi_accecn_opt_seen", ["NOT_SEEN", "EMPTY_SEEN", "COUNTER_SEEN", "FAIL_SEEN"]),
        ):
            labels = schema.field(field).labels
            assert [labels.name(value).endswith(f"_{text}") for value, text in enumerate(texts)] == [True] * 4
        assert schema.field("tcpi_accecn_fail_mode").labels.name(9) == (
            "TCP_ACCECN_ACE_FAIL_SEND|TCP_ACCECN_OPT_FAIL_RECV"
        )

    def test_of_states(self, tmp_path: Path) -> None:
        """An enum of the C library's header, which cannot stand beside the kernel's."""
        states = list(tcp._State)[:-1]
        assert compiled(tmp_path, [state.name for state in states], ("netinet/tcp.h",)) == states


# Beyond the installed header: where the kernel's own commits for 6.2, 6.7 and 6.18 put the members.
LATER = {
    "tcpi_rcv_wnd": 232,
    "tcpi_rehash": 236,
    "tcpi_total_rto": 240,
    "tcpi_total_rto_recoveries": 242,
    "tcpi_total_rto_time": 244,
    "tcpi_received_ce": 248,
    "tcpi_delivered_e1_bytes": 252,
    "tcpi_delivered_e0_bytes": 256,
    "tcpi_delivered_ce_bytes": 260,
    "tcpi_received_e1_bytes": 264,
    "tcpi_received_e0_bytes": 268,
    "tcpi_received_ce_bytes": 272,
}


class TestSizesOfTcpInfo:
    """The kernel decides how much of the struct there is."""

    @pytest.mark.parametrize("release", ["6.18.44-fc", "7.1"])
    @pytest.mark.parametrize(
        ("size", "last"),
        [
            (1, "tcpi_state"),
            (104, "tcpi_total_retrans"),
            (192, "tcpi_sndbuf_limited"),
            (232, "tcpi_snd_wnd"),
            (248, "tcpi_total_rto_time"),
            (276, "tcpi_received_ce_bytes"),
        ],
    )
    def test_ends_with_a_member(self, size: int, last: str, release: str) -> None:
        schema, longest = tcp._schema(size, release), tcp._schema(280, release)
        assert schema.size == size and schema.fields[-1].name == last
        assert schema.fields == longest.fields[: len(schema.fields)]
        assert longest.fields[len(schema.fields)].offset == size

    @pytest.mark.parametrize(
        ("release", "last"),
        [
            ("6.19", ["tcpi_accecn_fail_mode", "tcpi_accecn_opt_seen"]),
            ("7.0", ["tcpi_ecn_mode", "tcpi_accecn_opt_seen", "tcpi_accecn_fail_mode", "tcpi_options2"]),
        ],
    )
    def test_whole(self, release: str, last: list[str]) -> None:
        schema = tcp._schema(280, release)
        assert {field.name: field.offset for field in schema.fields if field.name in LATER} == LATER
        names = [field.name for field in schema.fields]
        assert names[names.index("tcpi_received_ce_bytes") + 1 :] == last
        assert (
            sum(field.nbytes for field in schema.fields if not field.bits) + 2 + 4 * (release == "7.0") == 280
        )
        places = [field.bits or field.offset for field in schema.fields[-len(last) :]]
        assert places == ([276, 278] if release == "6.19" else [(0, 2), (2, 2), (4, 4), (8, 24)])

    @pytest.mark.parametrize(
        ("size", "known", "more"),
        [
            (3, 3, 0),
            (7, 7, 0),
            (11, 8, 3),
            (110, 104, 6),
            (234, 232, 2),
            (241, 240, 1),
            (278, 276, 2),
            (281, 280, 1),
            (300, 280, 20),
        ],
    )
    def test_ends_anywhere(self, size: int, known: int, more: int) -> None:
        """What is cut in two, or unknown, is one raw member; the rest is as ever."""
        schema = tcp._schema(size, "7.0")
        assert schema.size == size
        assert Schema.from_json(schema.to_json()) == schema
        *rest, last = schema.fields
        if not more:
            rest.append(last)
        else:
            assert (last.name, last.offset, last.dtype.str) == ("tcpi_more", known, f"|V{more}")
        assert tuple(rest) == tcp._schema(280, "7.0").fields[: len(rest)]
        assert max(field.offset + field.nbytes for field in rest) == known

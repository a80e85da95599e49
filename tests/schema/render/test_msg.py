"""Messages of ROS 2: read by the parser of rosidl, which checks every name and constant."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from mcap_ros2._vendor.rosidl_adapter.parser import parse_message_string
from schemas import schemas

from fastrec import wmdrm
from fastrec.schema import Schema


def parsed(schema: Schema) -> Any:
    return parse_message_string("package", "Message", schema.to("msg"))


@given(schema=schemas())
@settings(max_examples=100, deadline=None)
def test_a_message_has_every_field(schema: Schema) -> None:
    message = parsed(schema)
    assert len(message.fields) == len(schema.fields)
    for found, field in zip(message.fields, schema.fields, strict=True):
        type_ = found.type
        if field.text:
            assert type_.type == "string"
            continue
        if field.dtype.kind in "iu" and not field.bits:
            assert type_.type == field.dtype.name
        elements = 1
        for n in field.shape:
            elements *= n
        elements *= {"S": field.dtype.itemsize, "V": field.dtype.itemsize, "c": 2}.get(field.dtype.kind, 1)
        assert (type_.array_size or 1) == elements
        assert type_.is_array == bool(field.shape or field.dtype.kind in "SVc")


def test_a_status_as_a_message() -> None:
    message = parsed(wmdrm.schema(64))
    assert [(one.name, one.type.type) for one in message.fields] == [
        ("hr", "int32"),
        ("en_indi_status", "int32"),
        ("psz_indi_resp_url", "string"),
        ("dw_http_request", "uint32"),
        ("en_http_status", "int32"),
        ("dw_http_read_progress", "uint32"),
        ("dw_http_read_total", "uint32"),
    ]
    constants = {one.name: (one.type, one.value) for one in message.constants}
    assert constants["EN_HTTP_STATUS_HTTP_COMPLETED"] == ("int32", 4)


def test_names_and_types_that_ros_does_not_have() -> None:
    dtype = [("Motor", [("posX", "<f2"), ("m", "<i2", (2, 3))], (2,)), ("motor_0_pos_x", "?"), ("2x", "S4")]
    schema = Schema.from_dtype(
        dtype, labels={"motor_0_pos_x": {"A": 0}, "Motor[0].m": {"Low": -1, "HUGE": 70000}}
    )
    lines = schema.to("msg").splitlines()
    for line in (
        "float32 motor_0_pos_x_n2  # Motor[0].posX; half precision",
        "int16 MOTOR_0_M_LOW=-1  # Low",
        "# MOTOR_0_M_HUGE = 70000, which is no int16",
        "int16[6] motor_0_m  # Motor[0].m; 2x3",
        "bool motor_0_pos_x",
        "uint8[4] f_2x  # 2x; characters",
    ):
        assert line in lines

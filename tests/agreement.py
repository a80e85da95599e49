"""Whether `Schema.from_c` and a compiler agree on the structs of `structs`."""

from __future__ import annotations

import functools
import math

from cffis import declared, new_ffi, places, sayable
from compilers import Placed, placed
from structs import ALIGNED, Member, Struct, made_of, simplest

from fastrec.errors import SchemaError
from fastrec.schema import Schema

__all__ = ["differences", "disagreements", "disagreements_with_cffi", "schema_of"]


def schema_of(struct: Struct, abi: str, tag: str = "S") -> Schema:
    """Read the text of a struct."""
    return Schema.from_c(struct.whole(tag), tag, abi=abi)


def disagreements(abi: str, batch: list[bytes]) -> list[str]:
    """Return what is wrong with one struct of a batch, made as small as may be; nothing: all agree."""
    found = _failing(abi, batch)
    if not found:
        return []
    least = simplest(found[0], functools.partial(_failing, abi))
    struct = made_of(least)
    wrong = "\n".join(differences(struct, abi, placed(abi, [struct])[0]))
    return [f"{len(found)} of {len(batch)} differ under {abi}, as {least!r}:\n{struct.whole('S')}{wrong}"]


def disagreements_with_cffi(batch: list[bytes]) -> tuple[int, list[str]]:
    """Return how many structs of a batch cffi can declare, and what is wrong with them."""
    ffi = new_ffi()
    structs = [one for one in map(made_of, batch) if sayable(one)]
    wrong = []
    for number, struct in enumerate(structs):
        type_ = declared(ffi, struct, f"S{number}")
        found = differences(struct, "sysv-x64", places(ffi, type_))
        # Of anonymous structs cffi has only the members, as if they were those of the struct around.
        anonymous = any(part.anonymous for part in struct.records())
        if not anonymous and Schema.from_cffi(type_) != schema_of(struct, "sysv-x64"):
            found.append("from_cffi makes another schema")
        if found:
            wrong.append("\n".join([struct.whole("S"), *found]))
    return len(structs), wrong


def _failing(abi: str, batch: list[bytes]) -> list[bytes]:
    structs = [made_of(choices) for choices in batch]
    answers = placed(abi, structs)
    return [
        choices
        for choices, struct, answer in zip(batch, structs, answers, strict=True)
        if differences(struct, abi, answer)
    ]


def differences(struct: Struct, abi: str, answer: Placed) -> list[str]:
    """Say where the schema of a struct is not what a compiler says: size, places, bits, shapes, bytes."""
    try:
        schema = schema_of(struct, abi)
    except SchemaError as error:
        return [f"refused: {error}"]
    wrong = [] if schema.size == answer.size else [f"size {schema.size}, not {answer.size}"]
    fields = {field.name: field for field in schema.fields}
    if set(fields) != set(answer.leaves):
        return [*wrong, f"fields {sorted(fields)}, not {sorted(answer.leaves)}"]
    for path, member in struct.leaves():
        field = fields[path]
        shift, width = field.bits or (0, None)
        place = (8 * field.offset + shift, width)
        if place != answer.leaves[path]:
            wrong.append(f"{path} at bit, width {place}, not {answer.leaves[path]}")
        # An array of plain char is a text.
        dims = member.dims[:-1] if member.type == "char" else member.dims
        nbytes = _size_of(abi, member.type) * math.prod(member.dims)
        if width is None and (field.shape != dims or field.nbytes != nbytes):
            wrong.append(f"{path} has {field.nbytes} bytes, shape {field.shape}, not {nbytes}, {dims}")
    return wrong


@functools.cache
def _size_of(abi: str, type_: str) -> int:
    alone = Struct(0, False, [Member("alone", ALIGNED.get(type_, type_))])
    return placed(abi, [alone])[0].size

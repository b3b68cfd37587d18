"""A look at the bytes of a protobuf message before the onnx package parses them.

Each field begins with a tag, `number << 3 | type`, as a varint; type 0 is a varint, 1 has 8 bytes, 5 has 4, and 2 has a
length and as many bytes: a text, numbers or another message. Messages of two bytes become objects of a hundred, so the
number of fields is limited before a file is parsed. See https://protobuf.dev/programming-guides/encoding and
onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gatewise.errors import FileError

MOST_FIELDS = 100_000
MOST_WHOLE_NUMBERS = 1 << 20
"""Most bytes of whole numbers in one tensor, which may grow eightfold when they are parsed."""

MOST_DEPTH = 40

MODEL: Mapping[int, str] = {7: "graph", 8: "opset", 14: "text", 20: "other", 25: "function", 26: "other"}
SCHEMA: Mapping[str, Mapping[int, str]] = {
    "model": MODEL,
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 14: "other", 15: "other", 16: "text"},
    "node": {5: "attribute", 9: "text"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        14: "other",
        15: "other",
        22: "other",
        23: "other",
    },
    "tensor": {13: "text", 16: "text"},
    "value": {2: "type", 4: "text"},
    "type": {1: "tensor type", 4: "other", 5: "other", 8: "other", 9: "other"},
    "tensor type": {2: "shape"},
    "shape": {1: "dimension"},
    "dimension": {},
    "function": {7: "node", 9: "opset", 11: "attribute", 12: "value", 14: "text"},
    "opset": {},
    "text": {},
    "other": {},
}
"""Message -> number of each field that is a message, and its kind. "other" may not be there in a recurrent graph."""

WIRE = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""Number of each field of ModelProto -> its type."""

INTEGERS = {5: "int32_data", 7: "int64_data", 11: "uint64_data"}
"""The fields of whole numbers in a TensorProto."""


def begins_as_model(head: bytes) -> bool:
    """Whether bytes begin as a ModelProto: with ir_version, and then another field of a model."""
    if not head.startswith(b"\x08"):
        return False
    seen = []
    try:
        for number, kind, start, end in fields(head, 0, len(head)):
            if WIRE.get(number) != kind:
                return False
            if number == 1 and not 1 <= _varint(head, start, end)[0] <= 100:
                return False
            seen.append(number)
    except _CutOff:
        pass  # the head ends within a field
    except FileError:
        return False
    return seen[:1] == [1] and (len(seen) > 1 or _next_tag_fits(head))


def check(data: bytes) -> None:
    """Check the number of fields of a ModelProto. Raises FileError."""
    budget = [MOST_FIELDS]
    try:
        _count(data, 0, len(data), "model", budget, 0)
    except _CutOff:
        raise FileError("the file is cut off or damaged: a field ends behind the end of its message") from None


class _CutOff(Exception):
    """A field ends behind the end of its message."""


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, type, and begin and end of the content of each field. Raises FileError, or _CutOff."""
    while start < end:
        tag, start = _varint(data, start, end)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            stop = _varint(data, start, end)[1]
        elif kind == 1:
            stop = start + 8
        elif kind == 5:
            stop = start + 4
        elif kind == 2:
            length, start = _varint(data, start, end)
            stop = start + length
        else:
            raise FileError(f"the file is damaged: a field has the type {kind}")
        if stop > end:
            raise _CutOff
        yield number, kind, start, stop
        start = stop


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """A whole number of 7 bits a byte, and where it ends."""
    value = 0
    for at in range(10):
        if start + at >= end:
            raise _CutOff
        byte = data[start + at]
        value |= (byte & 127) << 7 * at
        if byte < 128:
            return value, start + at + 1
    raise FileError("the file is damaged: a number has more than 10 bytes")


def _next_tag_fits(head: bytes) -> bool:
    """Whether the second field has the tag of a field of a model, if the head ends within that field."""
    try:
        _, at = _varint(head, 1, len(head))
        tag, _ = _varint(head, at, len(head))
    except (_CutOff, FileError):
        return False
    return WIRE.get(tag >> 3) == tag & 7


def _count(data: bytes, start: int, end: int, message: str, budget: list[int], depth: int) -> None:
    if depth > MOST_DEPTH:
        raise FileError(f"its messages are nested more than {MOST_DEPTH} deep")
    for number, kind, begin, stop in fields(data, start, end):
        budget[0] -= 1
        if budget[0] < 0:
            raise FileError(f"it has more than {MOST_FIELDS:,} fields; no graph of a recurrent network is that large")
        inner = SCHEMA[message].get(number)
        if inner is not None and kind == 2:
            if inner == "other":
                raise FileError(f"its {message} has the field {number}, which no graph of a recurrent network has")
            _count(data, begin, stop, inner, budget, depth + 1)
        elif message == "tensor" and number in INTEGERS and stop - begin > MOST_WHOLE_NUMBERS:
            raise FileError(
                f"a tensor has {stop - begin:,} bytes of {INTEGERS[number]}, more than {MOST_WHOLE_NUMBERS:,}"
            )

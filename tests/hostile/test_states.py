"""Saved states that are cut, altered, forged or another model's: refused with StateError, the stream as it was."""

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatewise as gw
from gatewise.errors import StateError
from hostile.attacks import SPEC, canonical, whole

MODEL = gw.init(SPEC)
FIELDS = {field.name: field.shape for field in MODEL.graph.state}


@dataclass
class Forged:
    """A saved state in parts, as docs/format.md says; what is None is computed."""

    values: dict[str, Any]
    structure: Any = MODEL.graph.structure
    format: Any = 1
    dtype: str = "<f4"
    sums: Any = None
    sha256: Any = None
    extra: dict[str, Any] = field(default_factory=dict)
    text: str | None = None

    def bytes(self) -> bytes:
        names = {"<f4": "F32", "<f8": "F64", "<i4": "I32", "<f2": "F16"}
        long = {"<f4": "float32", "<f8": "float64", "<i4": "int32", "<f2": "float16"}[self.dtype]
        header: dict[str, Any] = {}
        body, sums = b"", hashlib.sha256()
        for name in sorted(self.values):
            value = np.asarray(self.values[name], self.dtype)
            sums.update(canonical([name, long, list(value.shape)]).encode() + value.tobytes())
            offsets = [len(body), len(body) + value.nbytes]
            header[name] = {"dtype": names[self.dtype], "shape": list(value.shape), "data_offsets": offsets}
            body += value.tobytes()
        described = {
            "format": self.format,
            "structure": self.structure,
            "fields": sums.hexdigest() if self.sums is None else self.sums,
            **self.extra,
        }
        own = hashlib.sha256(canonical(described).encode()).hexdigest()
        described["sha256"] = own if self.sha256 is None else self.sha256
        text = canonical(described) if self.text is None else self.text
        data = json.dumps({"__metadata__": {"gatewise": text}, **header}).encode()
        data += b" " * (-len(data) % 8)
        return struct.pack("<Q", len(data)) + data + body


def values(**changes: Any) -> dict[str, Any]:
    """Numbers for every field, by full name; in `changes` dots are written as __, and None leaves a field out."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {name: rng.normal(size=(1, *shape)) for name, shape in FIELDS.items()}
    found.update({name.replace("__", "."): value for name, value in changes.items()})
    return {name: value for name, value in found.items() if value is not None}


def used() -> gw.Stream:
    """A stream with something in its state."""
    stream = MODEL.stream()
    stream.push_many(np.random.default_rng(1).normal(size=(5, 2)))
    return stream


def refused(data: Any, words: str) -> None:
    stream = used()
    before, answer = stream.save(), used().push([1.0, 2.0])
    with pytest.raises(StateError, match=words) as caught:
        stream.load(data)
    assert len(str(caught.value)) < 600
    assert stream.save() == before, "a refused state leaves the stream as it was"
    assert stream.push([1.0, 2.0]).tobytes() == answer.tobytes()
    with pytest.raises(StateError, match=words):
        MODEL.stream(data)
    with pytest.raises(StateError, match=words):
        MODEL.run(np.zeros((3, 2)), state=data)


def test_a_forgery_without_fault_is_a_state() -> None:
    stream = MODEL.stream(Forged(values()).bytes())
    for name, value in values().items():
        np.testing.assert_array_equal(stream.state.fields[name], value.astype(np.float32))


FOREIGN = gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=2)]))

ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "cut off: 0 bytes"),
    "zeros": (lambda: b"\0" * 100, "no valid safetensors"),
    "text": (lambda: b"gru0.hidden: 0.5, 0.5, 0.5", "no safetensors data"),
    "a-model-file": (lambda: whole().bytes(), "must have the keys"),
    "raw-floats": (lambda: used().get_state(), "no safetensors data"),
    "half": (lambda: used().save()[:300], "cut off|no valid safetensors"),
    "a-byte-too-many": (lambda: used().save() + b"\0", "no valid safetensors"),
    "header-length-2^64-1": (lambda: b"\xff" * 8 + used().save()[8:], "cut off"),
    "foreign": (lambda: FOREIGN.stream().save(), "of another structure .*; load the model it was saved from"),
    "foreign-with-our-fields": (lambda: Forged(values(), structure="0" * 64).bytes(), "of another structure"),
    "structure-a-number": (lambda: Forged(values(), structure=5).bytes(), "of another structure"),
    "structure-null": (lambda: Forged(values(), structure=None).bytes(), "of another structure"),
    "format-2": (lambda: Forged(values(), format=2).bytes(), "format 2, this version reads 1; upgrade"),
    "format-true": (lambda: Forged(values(), format=True).bytes(), "format True, this version reads 1"),
    "sum-wrong": (lambda: Forged(values(), sha256="0" * 64).bytes(), "does not match its checksum"),
    "fields-sum-wrong": (lambda: Forged(values(), sums="0" * 64).bytes(), "values do not match their checksum"),
    "key-extra": (lambda: Forged(values(), extra={"a": 1}).bytes(), "must have the keys"),
    "description-deep": (lambda: Forged(values(), text="[" * 1000).bytes(), "nested 1000 deep"),
    "description-a-number": (lambda: Forged(values(), text="5").bytes(), "must have the keys"),
    "nan": (lambda: Forged(values(gru0__hidden=[[0.5, np.nan]])).bytes(), "gru0.hidden holds non-finite"),
    "infinity": (lambda: Forged(values(head__smoothed=[[-np.inf]])).bytes(), "head.smoothed holds non-finite"),
    "field-missing": (lambda: Forged(values(gru0__hidden=None)).bytes(), "gru0.hidden must be float32 .*got nothing"),
    "field-extra": (lambda: Forged(values(gru1__hidden=[[1.0]])).bytes(), "has 9 fields, this model has 8"),
    "field-short": (
        lambda: Forged(values(gru0__hidden=[[0.5]])).bytes(),
        r"must be float32 \(1, 2\), got float32 \(1, 1\)",
    ),
    "field-flat": (
        lambda: Forged(values(gru0__hidden=[0.5, 0.5])).bytes(),
        r"must be float32 \(1, 2\), got float32 \(2,\)",
    ),
    "field-huge": (lambda: Forged(values(gru0__hidden=np.zeros((1, 10**5)))).bytes(), "got float32 .1, 100000."),
    "batch-of-2": (lambda: Forged({k: np.zeros((2, *s)) for k, s in FIELDS.items()}).bytes(), r"got float32 \(2, 2\)"),
    "float64": (lambda: Forged(values(), dtype="<f8").bytes(), "must be float32 .*got float64"),
    "float16": (lambda: Forged(values(), dtype="<f2").bytes(), "must be float32 .*got float16"),
    "integers": (lambda: Forged(values(), dtype="<i4").bytes(), "must be float32 .*got int32"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_refused_in_words(name: str) -> None:
    make, words = ATTACKS[name]
    refused(make(), words)


@pytest.mark.parametrize("value", [None, 5, "text", [1.0], np.zeros(5, np.float32), {"gru0.hidden": 1}], ids=repr)
def test_what_is_no_state_at_all(value: Any) -> None:
    stream = used()
    before = stream.save()
    with pytest.raises(StateError, match=f"a state is a State or bytes from save.*, got {type(value).__name__}"):
        stream.load(value)
    assert stream.save() == before


def test_a_state_of_several_sessions_fits_no_stream() -> None:
    _, state = MODEL.run(np.zeros((3, 4, 2)), return_state=True)
    refused(state, r"must be float32 \(1, 2\), got float32 \(3, 2\)")
    with pytest.raises(StateError, match=r"must be float32 \(2, 2\), got float32 \(3, 2\)"):
        MODEL.run(np.zeros((2, 4, 2)), state=state)


def test_a_state_with_a_nan_is_refused_as_a_value_too() -> None:
    state = used().state
    bad = gw.State(state.structure, {**state.fields, "gru0.hidden": np.full((1, 2), np.nan, np.float32)})
    refused(bad, "gru0.hidden holds non-finite values")


def test_the_core_itself_refuses_what_is_no_state() -> None:
    stream = used()
    raw = stream.get_state()
    for bad, words in (
        (b"", f"has {len(raw)} bytes, got 0"),
        (raw[:-1], f"got {len(raw) - 1}"),
        (raw + b"\0", f"got {len(raw) + 1}"),
        (np.full(len(raw) // 4, np.nan, np.float32).tobytes(), "value 0 is nan"),
        (raw[:-4] + struct.pack("<f", -np.inf), "is -inf"),
    ):
        with pytest.raises(StateError, match=words):
            stream.set_state(bad)
        assert stream.get_state() == raw
    for other in (5, "text", None):
        with pytest.raises(TypeError):
            stream.set_state(other)  # type: ignore[arg-type]
        assert stream.get_state() == raw


def test_truncated_at_every_length() -> None:
    data = used().save()
    for length in range(len(data)):
        with pytest.raises(StateError, match=r"cut off|no valid safetensors"):
            gw.State.from_bytes(data[:length])


def test_every_single_bit_counts() -> None:
    data = used().save()
    gw.State.from_bytes(data)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StateError):
            gw.State.from_bytes(bytes(damaged))


@settings(max_examples=100)
@given(data=st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(StateError):
        gw.State.from_bytes(data)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=100)
@given(data=st.data())
def test_any_finite_state_there_and_back(data: st.DataObject) -> None:
    batch = data.draw(st.integers(0, 3))
    drawn = {
        name: np.array(
            data.draw(st.lists(NUMBERS, min_size=batch * int(np.prod(shape)), max_size=batch * int(np.prod(shape)))),
            np.float32,
        ).reshape(batch, *shape)
        for name, shape in FIELDS.items()
    }
    state = gw.State(MODEL.graph.structure, drawn)
    saved = state.to_bytes()
    again = gw.State.from_bytes(saved)
    assert again == state
    assert again.to_bytes() == saved
    assert {name: value.tobytes() for name, value in again.fields.items()} == {n: v.tobytes() for n, v in drawn.items()}
    by_hand = Forged(drawn).bytes()
    assert by_hand[len(by_hand) - state.nbytes :] == saved[len(saved) - state.nbytes :]
    if batch == 1:
        assert MODEL.stream(saved).save() == saved

"""Readings and states of any bits: refused with nothing changed, or run to the same answers in every way."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import gatewise as gw
from gatewise.errors import InputError, StateError
from gatewise.inputs.base import usable
from hostile.mutations import SPECS, STREAMS

ANY_BITS = st.integers(0, 2**32 - 1).map(lambda bits: np.uint32(bits))
HELD = [
    gw.init(spec.replace(input=gw.LayerSpec("numeric", width=2, missing="hold", scaling="standard")))
    for spec in SPECS
    if spec.context == "carried" and spec.input.options.get("width") == 2 and not spec.input.options.get("transform")
]
STREAMED = [stream.model for stream in STREAMS]
MODELS = [*(gw.init(spec) for spec in SPECS), *HELD]


def bits(model: gw.Model, steps: int) -> Any:
    return arrays.arrays(np.uint32, (steps, model.inputs), elements=ANY_BITS).map(lambda x: x.view(np.float32))


def units(model: gw.Model) -> Any:
    return (model.tensors.get(f"input.{name}") for name in ("offset", "scale"))


def same(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=200)
@given(data=st.data())
def test_any_bits_in_the_readings(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS), label="model")
    x = data.draw(bits(model, data.draw(st.integers(1, 6))), label="x")
    try:
        whole = np.asarray(model.run(x))
    except InputError:
        assert model.graph.refuses_missing
        assert not usable(x, *units(model)).all()
        if model.graph.streams:
            stream, pool = model.stream(), model.pool(2)
            for refusing in (lambda: stream.push_many(x), lambda: pool.push([0] * len(x), x)):
                with pytest.raises(InputError):
                    refusing()
            assert not np.frombuffer(stream.get_state() + pool.get_state(0), np.float32).any()
        return
    assert whole.shape == (len(x), model.outputs)
    assert not model.graph.refuses_missing or usable(x, *units(model)).all()
    if not model.graph.streams:
        return
    stream, pool = model.stream(), model.pool(3)
    same([stream.push(row) for row in x], whole)
    same([pool.push([2, 1], np.array([row, row]))[0] for row in x], whole)
    same(np.frombuffer(stream.get_state(), np.float32), np.frombuffer(pool.get_state(2), np.float32))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=200)
@given(data=st.data())
def test_any_bits_in_a_state(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(STREAMED), label="model")
    stream = model.stream()
    before = stream.get_state()
    raw = data.draw(arrays.arrays(np.uint32, len(before) // 4, elements=ANY_BITS), label="state").view(np.float32)
    try:
        stream.set_state(raw.tobytes())
    except StateError:
        assert stream.get_state() == before
        assert not np.isfinite(raw).all() or model.window
        return
    readings = model.window is not None and not model.graph.refuses_missing  # those of a window may be missing
    assert np.isfinite(raw[:1] if readings else raw).all()
    x = data.draw(bits(model, 3), label="x")
    try:
        many = model.stream()
        many.set_state(raw.tobytes())
        answers = many.push_many(x)
    except InputError:
        return
    same([stream.push(row) for row in x], answers)

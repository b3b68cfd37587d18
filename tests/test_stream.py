"""Model and Stream as a user meets them: what may be pushed, what is refused, and that a refusal changes nothing."""

import array
import copy
import pickle
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import gatewise as gw
from gatewise import _core
from gatewise.errors import InputError, SpecError
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, ModelSpec

SPEC = ModelSpec(3, [LayerSpec("gru", units=5), LayerSpec("dense", units=2)])
MODEL = gw.init(SPEC, seed=1)
ONE = gw.init(ModelSpec(1, [LayerSpec("gru", units=4)]), seed=1)
HOLD = gw.init(ModelSpec(input=LayerSpec("numeric", width=3, missing="hold"), layers=SPEC.nodes), seed=1)
X = np.random.default_rng(0).integers(-5, 6, (12, 3)).astype(np.float32)


def unaligned(value: Array) -> Array:
    return np.frombuffer(b"x" + value.tobytes(), value.dtype, offset=1).reshape(value.shape)


def strided(value: Array) -> Array:
    wide = np.full((*value.shape[:-1], 2 * value.shape[-1]), np.nan, value.dtype)
    wide[..., ::2] = value
    return wide[..., ::2]


class Convertible:
    """Not an array, but says how to become one."""

    def __init__(self, value: Array) -> None:
        self.value = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return self.value


SAME: dict[str, Callable[[Array], Any]] = {
    "float32": lambda v: v,
    "read-only": lambda v: np.frombuffer(v.tobytes(), np.float32).reshape(v.shape),
    "float64": lambda v: v.astype(np.float64),
    "longdouble": lambda v: v.astype(np.longdouble),
    "float16": lambda v: v.astype(np.float16),
    "int8": lambda v: v.astype(np.int8),
    "int64": lambda v: v.astype(np.int64),
    "list": lambda v: v.tolist(),
    "list of ints": lambda v: v.astype(int).tolist(),
    "tuple": lambda v: tuple(map(tuple, v.tolist())) if v.ndim > 1 else tuple(v.tolist()),
    "list of arrays": lambda v: list(v),
    "strided": strided,
    "reversed": lambda v: v[..., ::-1].copy()[..., ::-1],
    "unaligned": unaligned,
    "Fortran order": np.asfortranarray,
    "big-endian": lambda v: v.astype(">f4"),
    "big-endian float64": lambda v: v.astype(">f8"),
    "big-endian int": lambda v: v.astype(">i2"),
    "subclass": lambda v: v.view(np.recarray),
    "nothing masked": lambda v: np.ma.masked_array(v, np.zeros(v.shape, bool)),
    "dtype with metadata": lambda v: v.astype(np.dtype(np.float32, metadata={"unit": "m"})),
    "pickled": lambda v: pickle.loads(pickle.dumps(v)),
    "__array__": Convertible,
    "memoryview": lambda v: memoryview(v),
    "torch": torch.from_numpy,
    "pandas": lambda v: pd.DataFrame(v) if v.ndim > 1 else pd.Series(v),
    "broadcast": lambda v: np.broadcast_to(v, v.shape),
}


@pytest.mark.parametrize("how", SAME)
def test_real_numbers_in_any_wrapping_give_the_same_bits(how: str) -> None:
    wrap = SAME[how]
    wanted = MODEL.run(X).tobytes()
    assert MODEL.run(wrap(X)).tobytes() == wanted
    assert MODEL.stream().push_many(wrap(X)).tobytes() == wanted
    stream = MODEL.stream()
    assert b"".join(stream.push(wrap(row)).tobytes() for row in X) == wanted


@pytest.mark.parametrize("how", sorted(set(SAME) - {"torch", "pandas", "memoryview"}))
def test_batches_too(how: str) -> None:
    batch = np.stack([X, X[::-1], 2 * X])
    assert MODEL.run(SAME[how](batch)).tobytes() == MODEL.run(batch).tobytes()


def test_what_is_pushed_is_not_changed() -> None:
    for wrap in SAME.values():
        given = wrap(X[0].copy())
        MODEL.stream().push(given)
        np.testing.assert_array_equal(np.asarray(given).astype(np.float32), X[0])


@pytest.mark.parametrize(
    "value", [True, 1, 1.0, np.float32(1), np.int8(1), np.array(1), [1], (1,), [True], np.ones(1)], ids=repr
)
def test_one_input_takes_a_single_number(value: Any) -> None:
    assert ONE.stream().push(value).tobytes() == ONE.stream().push(np.ones(1, np.float32)).tobytes()


def test_arrays_of_the_standard_library() -> None:
    wanted = MODEL.stream().push(X[0]).tobytes()
    for code in "fdbhl":
        given = array.array(code, [float(v) if code in "fd" else int(v) for v in X[0]])
        assert MODEL.stream().push(given).tobytes() == wanted
    booleans = MODEL.stream().push(np.array([True, False, True]))
    assert booleans.tobytes() == MODEL.stream().push([1, 0, 1]).tobytes()


def test_the_largest_numbers_that_fit() -> None:
    most = float(np.float32(1e18))
    assert np.isfinite(MODEL.stream().push([most, -most, 1e-300])).all()
    with np.errstate(all="raise"):
        assert np.isfinite(MODEL.stream().push([1e-300, 0, 5e-324])).all()


MISFITS: dict[str, tuple[Any, str]] = {
    "complex": ([1j, 2, 3], "readings must be real numbers, got complex128"),
    "texts": (["1", "2", "3"], "readings must be real numbers, got <U1; convert the column first"),
    "bytes": (b"123", "readings must be real numbers"),
    "objects": (np.array([1, 2, 3], object), "readings must be real numbers, got object"),
    "decimals": ([Decimal(1), 2, 3], "readings must be real numbers, got object"),
    "fractions": ([Fraction(1, 2), 2, 3], "readings must be real numbers, got object"),
    "None": (None, "readings must be real numbers, got object"),
    "a None": ([1, None, 3], "readings must be real numbers, got object"),
    "a dict": ({"a": 1, "b": 2, "c": 3}, "readings must be real numbers, got object"),
    "a set": ({1, 2, 3}, "readings must be real numbers, got object"),
    "an iterator": (iter([1, 2, 3]), "readings must be real numbers, got object"),
    "a namespace": (SimpleNamespace(a=1), "readings must be real numbers, got object"),
    "dates": (np.array(["2024-01-01"] * 3, "M8[D]"), "readings must be real numbers, got datetime64"),
    "durations": (np.array([1, 2, 3], "m8[s]"), "readings must be real numbers, got timedelta64"),
    "records": (np.zeros(3, [("a", "f4")]), "readings must be real numbers"),
    "ragged": ([[1, 2], [3]], "readings must be an array of real numbers: .*inhomogeneous"),
    "too few": ([1, 2], r"expected \(inputs,\) with 3 inputs a step, got shape \(2,\)"),
    "too many": (np.ones(4, np.float32), r"expected \(inputs,\) with 3 inputs a step, got shape \(4,\)"),
    "none at all": ([], r"got shape \(0,\)"),
    "a row": (np.ones((1, 3), np.float32), r"got shape \(1, 3\)"),
    "a column": (np.ones((3, 1)), r"got shape \(3, 1\)"),
    "a number": (1.0, r"got shape \(\)"),
    "nan": ([1, np.nan, 3], 'value 1 .*is nan; .*missing "hold"'),
    "nan in float32": (np.array([1, 2, np.nan], np.float32), "value 2 .*is nan"),
    "infinity": ([np.inf, 2, 3], "value 0 .*is inf"),
    "minus infinity": (np.array([1, -np.inf, 3], np.float32), "value 1 .*is -inf"),
    "masked": (np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]), "value 1 .*is nan"),
    "beyond float32": ([1e39, 2, 3], "a reading is too large for float32 .*; scale the data first"),
    "just beyond float32": ([3.4028236e38, 2, 3], "too large for float32"),
    "a huge int": ([10**30, 2, 3], "readings must be real numbers, got object"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_what_does_not_fit_is_refused_and_changes_nothing(what: str) -> None:
    value, words = MISFITS[what]
    stream = MODEL.stream()
    stream.push_many(X)
    before, out = stream.save(), np.full(2, 7, np.float32)
    for push in (lambda: stream.push(value), lambda: stream.push(value, out=out), lambda: stream.push(x=value)):
        with pytest.raises(InputError, match=words):
            push()
        assert stream.save() == before
        assert (out == 7).all()


def rows(value: Any) -> Any:
    """Three good rows and then the misfit."""
    return [[1, 2, 3]] * 3 + [value]


@pytest.mark.parametrize(
    "what", ["complex", "texts", "a None", "too few", "nan", "infinity", "beyond float32", "ragged"]
)
def test_a_misfit_in_a_later_row_refuses_all_rows(what: str) -> None:
    value, _ = MISFITS[what]
    stream = MODEL.stream()
    stream.push_many(X)
    before, out = stream.save(), np.full((4, 2), 7, np.float32)
    with pytest.raises(InputError):
        stream.push_many(rows(value), out=out)
    assert stream.save() == before
    assert (out == 7).all()
    for batch in (rows(value), [rows([1, 2, 3]), rows(value)]):
        with pytest.raises(InputError):
            MODEL.run(batch)


def test_a_refusal_says_where() -> None:
    bad = np.zeros((2, 4, 3), np.float32)
    bad[1, 2, 0] = np.nan
    with pytest.raises(InputError, match="input 0 at step 2 of row 1 is nan"):
        MODEL.run(bad)
    with pytest.raises(InputError, match="input 0 at step 2 of row 0 is nan"):
        MODEL.run(bad[1])
    with pytest.raises(InputError, match="value 0 of step 2 is nan"):
        MODEL.stream().push_many(bad[1])


@pytest.mark.parametrize("shape", [(), (3,), (5, 2), (2, 5, 4), (1, 1, 5, 3)], ids=str)
def test_run_wants_sequences(shape: tuple[int, ...]) -> None:
    wanted = "expected (time, inputs) or (batch, time, inputs) with 3 inputs a step, got shape "
    with pytest.raises(InputError, match=re.escape(f"{wanted}{shape}")):
        MODEL.run(np.zeros(shape, np.float32))


def test_push_many_wants_rows() -> None:
    for shape in ((3,), (2, 2, 3), (2, 4), ()):
        with pytest.raises(InputError, match=r"expected \(time, inputs\) with 3 inputs a step"):
            MODEL.stream().push_many(np.zeros(shape, np.float32))
    with pytest.raises(InputError, match=r"expected \(time, inputs\)"):
        ONE.stream().push_many([1.0, 2.0])


def test_a_model_that_holds_takes_what_others_refuse() -> None:
    x = np.array([[1, 2, 3], [4, np.nan, 6], [np.inf, 8, -np.inf]], np.float32)
    held = np.array([[1, 2, 3], [4, 2, 6], [4, 8, 6]], np.float32)
    plain = gw.Model(SPEC, HOLD.tensors)
    assert HOLD.run(x).tobytes() == plain.run(held).tobytes()
    masked = np.ma.masked_array(held + 0.0, [[0, 0, 0], [0, 1, 0], [1, 0, 1]])
    assert HOLD.run(masked).tobytes() == plain.run(held).tobytes()
    stream = HOLD.stream()
    assert np.stack([stream.push(row) for row in x]).tobytes() == plain.run(held).tobytes()
    for value in ("complex", "texts", "too few", "beyond float32"):
        with pytest.raises(InputError, match=MISFITS[value][1]):
            HOLD.stream().push(MISFITS[value][0])


def test_a_masked_float32_is_missing_too() -> None:
    masked = np.ma.masked_array(X[0], [False, True, False])
    with pytest.raises(InputError, match=r"value 1 .*is nan"):
        MODEL.stream().push(masked)


def test_nothing_pushed_is_nothing_answered() -> None:
    stream = MODEL.stream()
    stream.push_many(X)
    before = stream.save()
    assert stream.push_many(np.zeros((0, 3))).shape == (0, 2)
    assert stream.save() == before
    assert MODEL.run(np.zeros((0, 3))).shape == (0, 2)
    assert MODEL.run(np.zeros((0, 5, 3))).shape == (0, 5, 2)
    answer, state = MODEL.run(np.zeros((4, 0, 3)), return_state=True)
    assert answer.shape == (4, 0, 2)
    assert not any(value.any() for value in state.fields.values())


def test_answers_are_new_float32_arrays() -> None:
    stream = MODEL.stream()
    first = stream.push(X[0])
    kept = first.copy()
    second = stream.push(X[1])
    assert first is not second
    assert (first == kept).all(), "an answer is not overwritten by the next"
    for answer in (first, stream.push_many(X), MODEL.run(X), MODEL.run(X[None])):
        assert type(answer) is np.ndarray
        assert answer.dtype == np.float32
        assert answer.flags.c_contiguous
        assert answer.flags.writeable


def test_out_is_filled_and_returned() -> None:
    wanted, stream = MODEL.run(X), MODEL.stream()
    out = np.full(2, np.nan, np.float32)
    for row, answer in zip(X, wanted, strict=True):
        assert stream.push(row, out=out) is out
        assert (out == answer).all()
    many = np.full((12, 2), np.nan, np.float32)
    assert MODEL.stream().push_many(X, out=many) is many
    assert (many == wanted).all()
    assert MODEL.stream().push_many(X, many[::-1][::-1]).tobytes() == wanted.tobytes(), "out by position"
    assert MODEL.stream().push(X[0], out=None).tobytes() == wanted[0].tobytes()
    row = np.zeros((3, 2), np.float32)[1]
    assert MODEL.stream().push(X[0], out=row) is row, "a row of a larger array will do"


def read_only() -> Array:
    value = np.zeros(2, np.float32)
    value.flags.writeable = False
    return value


BAD_OUTS: dict[str, tuple[Any, str]] = {
    "float64": (np.zeros(2), "float64 (2,)"),
    "int32": (np.zeros(2, np.int32), "int32 (2,)"),
    "big-endian": (np.zeros(2, ">f4"), ""),
    "long": (np.zeros(3, np.float32), "float32 (3,)"),
    "short": (np.zeros(1, np.float32), "float32 (1,)"),
    "a row": (np.zeros((1, 2), np.float32), "float32 (1, 2)"),
    "a scalar": (np.zeros((), np.float32), "float32 ()"),
    "read-only": (read_only(), ""),
    "strided": (np.zeros(4, np.float32)[::2], ""),
    "unaligned": (unaligned(np.zeros(2, np.float32)), "misaligned float32 (2,)"),
    "a list": ([0.0, 0.0], "list"),
    "bytes": (bytearray(8), "bytearray"),
}


@pytest.mark.parametrize("what", BAD_OUTS)
def test_an_out_that_does_not_fit_is_refused_and_changes_nothing(what: str) -> None:
    out, got = BAD_OUTS[what]
    stream = MODEL.stream()
    stream.push_many(X)
    before = stream.save()
    with pytest.raises(InputError, match=rf"push: out must be writable .* float32 \(2,\), got .*{re.escape(got)}"):
        stream.push(X[0], out=out)
    assert stream.save() == before
    with pytest.raises(InputError, match=r"push_many: out must be .*\(4, 2\)"):
        stream.push_many(X[:4], out=out)
    assert stream.save() == before


def test_out_may_share_memory_with_the_readings() -> None:
    model = gw.init(ModelSpec(4, [LayerSpec("gru", units=4)]))
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    wanted = model.run(x)
    memory = np.zeros((22, 4), np.float32)
    for shift in (0, 1, 2):
        memory[1:21] = x
        answers = model.stream().push_many(memory[1:21], out=memory[shift : shift + 20])
        assert answers.tobytes() == wanted.tobytes()
    row = x[0].copy()
    assert model.stream().push(row, out=row).tobytes() == wanted[0].tobytes()


def test_wrong_calls() -> None:
    stream = MODEL.stream()
    before = stream.save()
    for call in (
        lambda: stream.push(),  # type: ignore[call-arg]
        lambda: stream.push(X[0], None, None),  # type: ignore[call-arg]
        lambda: stream.push(X[0], to=None),  # type: ignore[call-arg]
        lambda: stream.push(X[0], x=X[0]),  # type: ignore[misc]
        lambda: stream.push_many(),  # type: ignore[call-arg]
        lambda: gw.Stream(),  # type: ignore[call-arg]
        lambda: _core.Stream(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            call()
    assert stream.save() == before


def test_reset_is_a_new_stream() -> None:
    stream = MODEL.stream()
    first = stream.push_many(X)
    assert stream.save() != MODEL.stream().save()
    stream.reset()
    assert stream.save() == MODEL.stream().save()
    assert stream.push_many(X).tobytes() == first.tobytes()


def test_streams_of_one_model_do_not_touch_each_other() -> None:
    wanted = MODEL.run(X)
    streams = [MODEL.stream() for _ in range(5)]
    for step, row in enumerate(X):
        for i, stream in enumerate(streams):
            if step >= i:
                assert stream.push(X[step - i]).tobytes() == wanted[step - i].tobytes()
        assert (row == X[step]).all()


def test_a_stream_keeps_its_model_alive() -> None:
    stream = gw.init(SPEC, seed=1).stream()
    assert stream.push_many(X).tobytes() == MODEL.run(X).tobytes()


def test_a_saved_stream_goes_on_elsewhere() -> None:
    wanted, stream = MODEL.run(X), MODEL.stream()
    stream.push_many(X[:5])
    saved = stream.save()
    assert isinstance(saved, bytes)
    again = MODEL.stream()
    again.load(saved)
    for other in (MODEL.stream(saved), MODEL.stream(stream.state), again, gw.Stream(MODEL, saved), copy.copy(stream),
                  copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))):  # fmt: skip
        assert other.push_many(X[5:]).tobytes() == wanted[5:].tobytes()
    assert stream.save() == saved, "none of them touched the first"


def test_run_goes_on_from_a_state() -> None:
    batch = np.stack([X, X[::-1], 2 * X])
    wanted, end = MODEL.run(batch, return_state=True)
    first, middle = MODEL.run(batch[:, :4], return_state=True)
    rest, last = MODEL.run(batch[:, 4:], state=middle, return_state=True)
    assert np.concatenate([first, rest], axis=1).tobytes() == wanted.tobytes()
    assert last == end
    assert MODEL.run(batch[:, 4:], state=middle.to_bytes()).tobytes() == rest.tobytes()


def test_a_refused_run_leaves_the_state_alone() -> None:
    _, state = MODEL.run(X, return_state=True)
    before = state.to_bytes()
    with pytest.raises(InputError):
        MODEL.run(np.full((2, 3), np.nan), state=state)
    assert state.to_bytes() == before


def test_init_is_reproducible() -> None:
    one, same, other = gw.init(SPEC, seed=1), gw.init(SPEC, seed=1), gw.init(SPEC, seed=2)
    assert all(one.tensors[name].tobytes() == same.tensors[name].tobytes() for name in one.tensors)
    assert any(one.tensors[name].tobytes() != other.tensors[name].tobytes() for name in one.tensors)
    assert dict(one.provenance) == {"seed": 1}


def test_repr_counts_as_by_hand() -> None:
    spec = ModelSpec(
        input=LayerSpec("numeric", width=16, missing="hold"),
        layers=[LayerSpec("gru", units=128), LayerSpec("dense", name="out", units=1)],
    )
    text = repr(gw.init(spec, cpu="base"))
    gru = 3 * 128 * (16 + 128)
    parameters = gru + 2 * 3 * 128 + 128 + 1
    assert "16 inputs -> 1 outputs" in text
    assert "cpu='base'" in text
    lines = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert "gru " in lines["gru0"]
    assert "16 -> 128" in lines["gru0"]
    assert f"{gru + 2 * 3 * 128:,} parameters" in lines["gru0"]
    assert f"{gru:,} MACs" in lines["gru0"]
    assert "128 -> 1" in lines["out"]
    assert "129 parameters" in lines["out"]
    assert "128 MACs" in lines["out"]
    assert f"total {parameters:,} parameters" in lines["total"]
    assert f"{4 * parameters:,} bytes" in lines["total"]
    assert f"{gru + 128:,} MACs a step" in lines["total"]
    assert f"state {4 * (128 + 16):,} bytes" in lines["total"]


def test_counts_as_numbers() -> None:
    model = gw.init(SPEC)
    assert (model.inputs, model.outputs, model.output_names) == (3, 2, ("y0", "y1"))
    assert model.parameters == 3 * 5 * (3 + 5) + 2 * 15 + 2 * 5 + 2


def test_a_model_cannot_change() -> None:
    given = {name: np.array(value) for name, value in MODEL.tensors.items()}
    model = gw.Model(SPEC, given, {"seed": 1})
    wanted = model.run(X)
    for value in given.values():
        value[...] = 9
    assert model.run(X).tobytes() == wanted.tobytes()
    for name in ("spec", "tensors", "cpu", "provenance", "graph", "anything"):
        with pytest.raises(AttributeError, match="immutable; use replace"):
            setattr(model, name, None)
    for change in (
        lambda: model.tensors.update({}),  # type: ignore[attr-defined]
        lambda: model.tensors.__setitem__("gru0.bias_ih", given["gru0.bias_ih"]),  # type: ignore[attr-defined]
        lambda: model.provenance.__setitem__("seed", 2),  # type: ignore[attr-defined]
    ):
        with pytest.raises(AttributeError):
            change()
    for value in model.tensors.values():
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


def test_copies_of_a_model_compute_the_same_bits() -> None:
    model = gw.Model(SPEC, MODEL.tensors, {"seed": 1, "data": {"rows": 5}}, cpu="base")
    for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.spec == model.spec
        assert again.cpu == "base"
        assert again.provenance == model.provenance
        assert again.run(X).tobytes() == model.run(X).tobytes()


def test_replace_exchanges_parts() -> None:
    scaled = {name: 2 * value for name, value in MODEL.tensors.items()}
    assert MODEL.replace(tensors=scaled).tensors["gru0.weight_ih"].tobytes() == scaled["gru0.weight_ih"].tobytes()
    assert MODEL.replace(provenance={"a": 1}).provenance == {"a": 1}
    assert MODEL.replace(cpu="base").cpu == "base"
    narrower = ModelSpec(3, [LayerSpec("gru", units=4)])
    with pytest.raises(SpecError, match=r"tensor 'dense0.weight' belongs to no layer"):
        MODEL.replace(spec=narrower)
    assert MODEL.replace(spec=narrower, tensors=gw.init(narrower).tensors).outputs == 4
    assert MODEL.replace().run(X).tobytes() == MODEL.run(X).tobytes()


@pytest.mark.parametrize("cpu", ["", "AVX2", "sse9", "base "])
def test_an_unknown_cpu_is_refused(cpu: str) -> None:
    with pytest.raises(SpecError, match=f"cpu must be one of .*base on this machine, got {cpu!r}"):
        gw.init(SPEC, cpu=cpu)


def test_the_default_is_the_best_instruction_set() -> None:
    assert gw.init(SPEC).cpu == _core.instruction_sets()[0]

"""The binding: what the native module takes, refuses and leaves untouched. Numbers are tested in tests/conformance."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gatewise import _core
from gatewise.errors import BusyError, InputError, SpecError, StateError

I, H = 3, 5  # noqa: E741  the field's letters
Floats = npt.NDArray[np.float32]


def gru(inputs: int = I, units: int = H, seed: int = 0) -> tuple[Any, ...]:
    """A random GRU from edge 0 to edge 1."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Floats:
        return rng.uniform(-0.7, 0.7, shape).astype(np.float32)

    tensors = [draw(3 * units, inputs), draw(3 * units, units), draw(3 * units), draw(3 * units)]
    reset, gate, activation, clip = [0.0], [3.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0]  # after, sigmoid, tanh, none
    return ("gru", (0,), 1, [*reset, *gate, *activation, *clip], tensors)


def model(inputs: int = I, units: int = H, refuse: bool = True) -> _core.Model:
    return _core.Model([gru(inputs, units)], [inputs, units], 1, refuse)


class Converting(_core.Stream):
    """A stream that converts, as gatewise.Stream does."""

    def _as_float32(self, x: npt.ArrayLike, ndim: int, /) -> Floats:
        return np.ascontiguousarray(x, np.float32)


@pytest.fixture
def stream() -> _core.Stream:
    return _core.Stream(model())


X = np.array([0.1, -0.2, 0.3], np.float32)


def answer(x: npt.ArrayLike = X) -> Floats:
    """What a fresh stream answers."""
    return _core.Stream(model()).push(np.asarray(x, np.float32))


def test_a_model_says_what_it_is() -> None:
    m = model()
    assert (m.inputs, m.outputs, m.state_floats) == (I, H, H)
    assert m.cpu == _core.instruction_sets()[0]
    assert m.packed_bytes > 4 * (3 * H * (I + H) + 4 * H)
    assert 0 < m.time_steps(100) < np.inf
    with pytest.raises(InputError, match="at least 1, got 0"):
        m.time_steps(0)


@pytest.mark.parametrize("way", ["x", "x, None", "x, out", "x, out=out", "x=x", "out=out, x=x", "x, out=None"])
def test_push_takes_its_arguments_in_every_way(stream: _core.Stream, way: str) -> None:
    out = np.empty(H, np.float32)
    y = eval(f"stream.push({way})", {"stream": stream, "x": X, "out": out})
    assert y.tobytes() == answer().tobytes()
    assert (y is out) == ("out=out" in way or way == "x, out")


@pytest.mark.parametrize(
    ("args", "names", "message"),
    [
        ((), {}, "push() needs x"),
        ((X, None, 3), {}, "push() takes x and out, got 3 positional arguments"),
        ((X,), {"y": 1}, "push() has no argument 'y'"),
        ((X,), {"x": X}, "push() got two values for 'x'"),
        ((X, None), {"out": None}, "push() got two values for 'out'"),
    ],
)
def test_push_refuses_other_arguments(stream: _core.Stream, args: Any, names: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        stream.push(*args, **names)
    assert str(caught.value) == message


def strided() -> Floats:
    return np.repeat(X, 2)[::2]


@pytest.mark.parametrize(
    "x",
    [X.tolist(), tuple(X.tolist()), X.astype(np.float64), strided(), X.astype(">f4"), memoryview(X), X[None][0]],
    ids=["list", "tuple", "float64", "strided", "big-endian", "memoryview", "view"],
)
def test_a_subclass_converts_what_does_not_fit(x: Any) -> None:
    assert Converting(model()).push(x).tobytes() == answer().tobytes()


def test_a_float32_of_another_dtype_object_fits_as_it_is(stream: _core.Stream) -> None:
    other = pickle.loads(pickle.dumps(np.dtype(np.float32, metadata={"unit": "V"})))
    x = X.view(np.dtype(np.float32, metadata={"unit": "V"}))
    assert x.dtype is not np.dtype(np.float32)
    assert other == np.float32
    assert stream.push(x).tobytes() == answer().tobytes()


def test_a_subclass_of_ndarray_is_converted_too() -> None:
    masked = np.ma.masked_array(X, [False, True, False])
    seen: list[Any] = []

    class Filling(_core.Stream):
        def _as_float32(self, x: npt.ArrayLike, ndim: int, /) -> Floats:
            seen.append(x)
            return np.ma.filled(x, 0.0)

    wanted = answer([X[0], 0.0, X[2]])
    assert Filling(model()).push(masked).tobytes() == wanted.tobytes()
    assert Filling(model()).push_many(masked[None])[0].tobytes() == wanted.tobytes()
    assert [type(x) for x in seen] == [np.ma.MaskedArray] * 2
    with pytest.raises(
        InputError, match=r"^_as_float32 must be .*got float32 \(3,\) in a <class 'numpy.*MaskedArray'>$"
    ):
        Returning(model()).push(masked)


class Returning(_core.Stream):
    """A stream that converts nothing after all."""

    def _as_float32(self, x: Any, ndim: int, /) -> Floats:
        return x  # type: ignore[no-any-return]


def test_without_a_subclass_nothing_is_converted(stream: _core.Stream) -> None:
    with pytest.raises(InputError, match=r"^push: x must be C-contiguous float32 \(3,\), got float64 \(3,\)$"):
        stream.push(X.astype(np.float64))
    with pytest.raises(InputError, match=r"got <class 'list'>$"):
        stream.push([1.0, 2.0, 3.0])
    with pytest.raises(
        InputError, match=r"^push_many: x must be C-contiguous float32 \(time, 3\), got float32 \(2, 4\)$"
    ):
        stream.push_many(np.zeros((2, 4), np.float32))


def test_what_a_subclass_converts_to_is_checked_again() -> None:
    class Wrong(_core.Stream):
        def _as_float32(self, x: npt.ArrayLike, ndim: int, /) -> Floats:
            return np.zeros((ndim, 7), np.float32)

    with pytest.raises(InputError, match=r"^_as_float32 must be C-contiguous float32 \(3,\), got float32 \(1, 7\)$"):
        Wrong(model()).push([0.0])

    class Failing(_core.Stream):
        def _as_float32(self, x: npt.ArrayLike, ndim: int, /) -> Floats:
            raise KeyError("column")

    with pytest.raises(KeyError, match="column"):
        Failing(model()).push([0.0])


@pytest.mark.parametrize(
    "out",
    [
        np.empty(H + 1, np.float32),
        np.empty(H, np.float64),
        np.empty((1, H), np.float32),
        np.empty(2 * H, np.float32)[::2],
        np.frombuffer(bytes(4 * H), np.float32),
        bytearray(4 * H),
    ],
    ids=["wide", "float64", "2-d", "strided", "read-only", "no array"],
)
def test_an_out_that_does_not_fit_is_refused_before_anything_changes(stream: _core.Stream, out: Any) -> None:
    stream.push(X)
    before = stream.get_state()
    with pytest.raises(InputError, match=r"^push: out must be writable C-contiguous float32 \(5,\), got "):
        stream.push(X, out=out)
    with pytest.raises(InputError, match=r"^push_many: out must be writable C-contiguous float32 \(2, 5\), got "):
        stream.push_many(np.stack([X, X]), out=out)
    assert stream.get_state() == before


@pytest.mark.parametrize("shift", range(I + H + 1))
def test_out_may_share_memory_with_x(stream: _core.Stream, shift: int) -> None:
    memory = np.zeros(I + 2 * H, np.float32)
    x, out = memory[H : H + I], memory[shift : shift + H]
    x[:] = X
    assert stream.push(x, out=out).tobytes() == answer().tobytes()


def test_many_steps_may_go_in_place() -> None:
    m = model(inputs=H, units=H)
    x = np.random.default_rng(1).standard_normal((20, H)).astype(np.float32)
    wanted = _core.Stream(m).push_many(x)
    assert _core.Stream(m).push_many(x, out=x) is x
    assert x.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(("value", "name"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_non_finite_reading_is_refused_before_anything_changes(stream: _core.Stream, value: float, name: str) -> None:
    stream.push(X)
    before = stream.get_state()
    x = np.zeros((4, I), np.float32)
    x[2, 1] = value
    with pytest.raises(InputError) as caught:
        stream.push_many(x)
    assert str(caught.value) == (
        f"push_many: value 1 of step 2 is {name}; this model does not accept missing values: "
        'fill them in, or use an input stage with missing "hold" or "mask"'
    )
    with pytest.raises(InputError, match=f"^push: value 1 is {name}; "):
        stream.push(x[2])
    assert stream.get_state() == before


def test_no_steps_are_no_work(stream: _core.Stream) -> None:
    stream.push(X)
    before = stream.get_state()
    assert stream.push_many(np.empty((0, I), np.float32)).shape == (0, H)
    assert stream.get_state() == before


def test_a_state_is_bytes(stream: _core.Stream) -> None:
    assert stream.get_state() == bytes(4 * H)
    first = stream.push(X)
    saved = stream.get_state()
    assert saved == first.tobytes()  # a GRU's state is its last answer
    second = stream.push(X)
    for form in (saved, bytearray(saved), memoryview(saved), first, first[None]):
        stream.set_state(form)
        assert stream.push(X).tobytes() == second.tobytes()
    stream.reset()
    assert stream.get_state() == bytes(4 * H)


def test_a_state_that_does_not_fit_is_refused_before_anything_changes(stream: _core.Stream) -> None:
    stream.push(X)
    before = stream.get_state()
    with pytest.raises(StateError, match="this model's state has 20 bytes, got 16"):
        stream.set_state(bytes(16))
    with pytest.raises(StateError, match="value 4 is nan"):
        stream.set_state(np.array([0, 0, 0, 0, np.nan], np.float32).tobytes())
    with pytest.raises(TypeError):
        stream.set_state(3)  # type: ignore[arg-type]
    assert stream.get_state() == before


def test_a_batch_is_checked_whole_before_anything_changes() -> None:
    m = model()
    x = np.zeros((4, 6, I), np.float32)
    state, out = np.full((4, H), 0.5, np.float32), np.full((4, 6, H), 7, np.float32)
    x[3, 5, 1] = np.nan
    with pytest.raises(InputError, match=r"^run: input 1 at step 5 of row 3 is nan; "):
        m.run(x, state, out)
    x[3, 5, 1] = 0
    state[2, 4] = np.inf
    with pytest.raises(StateError, match=r"^run: the state of row 2 is not valid: value 4 is inf; "):
        m.run(x, state, out)
    assert (out == 7).all()
    state[2, 4] = 0.5
    assert (state == 0.5).all()
    for arrays, name in [
        ((x[:, :, :2].copy(), state, out), "x"),
        ((x.astype(np.float64), state, out), "x"),
        ((x, state[:3].copy(), out), "state"),
        ((x, state[:, :4].copy(), out), "state"),
        ((x, state, out[:3].copy()), "out"),
        ((x, state, out[:, :5].copy()), "out"),
        ((x, state, out[:, ::2]), "out"),
    ]:
        with pytest.raises(InputError, match=f"^run: {name} must be .* got "):
            m.run(*arrays)
    square = model(inputs=H)
    with pytest.raises(InputError, match="must not share memory"):
        square.run(out, state, out)
    with pytest.raises(InputError, match="must not share memory"):
        square.run(out, out[0][:4], np.empty_like(out))


def test_a_graph_that_cannot_be_is_refused() -> None:
    kind, reads, writes, options, tensors = gru()
    wrong = [tensors[0], tensors[1][:, :4].copy(), *tensors[2:]]
    with pytest.raises(
        SpecError, match=r"^node 0 \(gru\), position 1: a tensor has the wrong shape .* got \[15, 4\], .* \[15, 5\]"
    ):
        _core.Model([(kind, reads, writes, options, wrong)], [I, H], 1, True)
    with pytest.raises(SpecError, match=r"^node 0 \(mygate\): no such kind of node"):
        _core.Model([("mygate", reads, writes, options, tensors)], [I, H], 1, True)
    with pytest.raises(SpecError, match=r"^graph: there are more or fewer nodes"):
        _core.Model([], [I, H], 1, True)
    with pytest.raises(SpecError, match="cpu 'z80' is not available here"):
        _core.Model([gru()], [I, H], 1, True, "z80")
    nodes: list[Any] = [
        (),
        (kind,),
        3,
        (1, reads, writes, options, tensors),
        (kind, [None], writes, options, tensors),
        (kind, reads, writes, ["a"], tensors),
        (kind, reads, writes, options, [t.tolist() for t in tensors]),
    ]
    for node in nodes:
        with pytest.raises(TypeError):
            _core.Model([node], [I, H], 1, True)
    for number in (-5, 1 << 40, -(1 << 70)):
        with pytest.raises((SpecError, OverflowError)):
            _core.Model([gru()], [I, number], 1, True)
        with pytest.raises((SpecError, OverflowError)):
            _core.Model([(kind, [number], writes, options, tensors)], [I, H], 1, True)


def test_a_model_owns_its_weights() -> None:
    node = gru()
    stream = _core.Stream(_core.Model([node], [I, H], 1, True))
    for tensor in node[4]:
        tensor[:] = np.nan
    assert stream.push(X).tobytes() == answer().tobytes()


def test_neither_class_can_be_made_another_way() -> None:
    for make in (
        lambda: _core.Stream(),  # type: ignore[call-arg]
        lambda: _core.Stream(None),  # type: ignore[arg-type]
        lambda: _core.Stream(Converting(model())),  # type: ignore[arg-type]
        lambda: type("Sub", (_core.Model,), {}),
        lambda: pickle.dumps(_core.Stream(model())),
        lambda: pickle.dumps(model()),
    ):
        with pytest.raises(TypeError):
            make()


def test_a_stream_keeps_its_model_and_both_go() -> None:
    class Leaf(Converting):
        pass

    stream: Any = Leaf(model())
    stream.itself = stream  # a cycle that only the collector can undo
    gone = weakref.ref(stream)
    gc.collect()
    assert stream.push(X).tobytes() == answer().tobytes()
    del stream
    gc.collect()
    assert gone() is None


def leaked(action: Callable[[], object], times: int = 200) -> int:
    """Objects that so many calls leave behind: the least of three counts, as the interpreter keeps a few at times."""
    counts = []
    for _ in range(4):
        for _ in range(times):
            action()
        gc.collect()
        counts.append(sys.getallocatedblocks())
    return min(after - before for before, after in pairwise(counts))


def test_nothing_leaks_and_no_reference_is_lost() -> None:
    m, stream, out = model(), Converting(model()), np.empty(H, np.float32)
    bad = np.full(I, np.nan, np.float32)
    numbers = X.tolist()

    def refused(call: Callable[..., object], *args: Any, **names: Any) -> None:
        with pytest.raises((InputError, StateError, SpecError, TypeError)):
            call(*args, **names)

    actions: list[Callable[[], object]] = [
        model,
        lambda: Converting(m),
        lambda: stream.push(X),
        lambda: stream.push(X, out=out),
        lambda: stream.push(numbers),
        lambda: refused(stream.push, bad),
        lambda: refused(stream.push, X, out=bad),
        lambda: refused(stream.push, bad, out=out),
        lambda: refused(stream.push, X, y=1),
        lambda: refused(stream.push_many, bad),
        lambda: refused(stream.set_state, b"1"),
        lambda: refused(_core.Model, [("mygate", (), 1, [], [])], [1, 1], 1, True),
        lambda: refused(_core.Model, [("gru", (0,), 1, [1.0], ["x"])], [1, 1], 1, True),
    ]
    counts = [sys.getrefcount(v) for v in (X, out, bad, m, np.dtype(np.float32), None)]
    assert [leaked(action) for action in actions] == [pytest.approx(0, abs=100)] * len(actions)  # of 200 calls
    after = [sys.getrefcount(v) for v in (X, out, bad, m, np.dtype(np.float32), None)]
    assert after == pytest.approx(counts, abs=150)  # of 10,400 calls; None is counted by all the interpreter


def test_one_stream_in_two_threads_is_refused_and_stays_whole() -> None:
    m = model(inputs=16, units=64)
    x = np.random.default_rng(0).standard_normal((20_000, 16)).astype(np.float32)  # long enough to let others run
    wanted = _core.Stream(m).push_many(x)
    stream = _core.Stream(m)
    results: list[Floats] = []
    worker = threading.Thread(target=lambda: results.append(stream.push_many(x)))
    refusals: list[str] = []
    worker.start()
    while worker.is_alive():
        try:
            stream.get_state()
        except BusyError as error:
            refusals.append(str(error))
    worker.join()
    assert set(refusals) == {"this stream is in use by another thread; give each thread a stream of its own"}
    assert results[0].tobytes() == wanted.tobytes()


def test_an_input_that_changes_during_a_run_leaves_no_row_unwritten() -> None:
    m = model(inputs=16, units=64)
    x = np.zeros((40, 1_000, 16), np.float32)
    state, out = np.zeros((40, 64), np.float32), np.full((40, 1_000, 64), 7, np.float32)
    worker = threading.Thread(target=lambda: m.run(x, state, out))
    worker.start()
    while worker.is_alive() and out[0, 0, 0] == 7:  # the first row is begun when all rows have been checked
        pass
    x[-1, 500, 3] = np.nan
    worker.join()
    assert not (out == 7).any()


def test_one_model_in_many_threads() -> None:
    m = model(inputs=16, units=32)
    x = np.random.default_rng(0).standard_normal((4, 2_000, 16)).astype(np.float32)
    wanted = np.empty((4, 2_000, 32), np.float32)
    m.run(x, np.zeros((4, 32), np.float32), wanted)
    answers: dict[int, Floats] = {}

    def run(row: int) -> None:
        stream = _core.Stream(m)
        answers[row] = np.stack([stream.push(step) for step in x[row]])

    threads = [threading.Thread(target=run, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for row in range(4):
        assert answers[row].tobytes() == wanted[row].tobytes()


def test_peaks() -> None:
    for cpu in _core.instruction_sets():
        assert 0 < _core.bandwidth(1 << 14, cpu) < np.inf
        assert 0 < _core.fma_peak(cpu) < np.inf
    with pytest.raises(SpecError, match="cpu 'z80'"):
        _core.bandwidth(1 << 14, "z80")
    with pytest.raises(InputError, match="nbytes must be at least 1"):
        _core.bandwidth(0)

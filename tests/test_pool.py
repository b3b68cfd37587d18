"""Pool: many sessions, each as if it were alone; a push that is refused changes nothing."""

import itertools
import pickle
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gatewise as gw
from gatewise import _core
from gatewise.errors import BusyError, InputError, StateError

SPEC = gw.ModelSpec(3, [gw.LayerSpec("gru", units=9), gw.LayerSpec("dense", units=2, activation="softmax")])
MODEL = gw.init(SPEC, seed=3)
N = 60
X = np.random.default_rng(1).normal(size=(N, 8, 3)).astype(np.float32)


def states(pool: gw.Pool) -> list[bytes]:
    return [pool.get_state(i) for i in range(len(pool))]


@given(st.lists(st.sets(st.integers(0, N - 1), min_size=1), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_each_session_is_as_if_alone(turns: list[set[int]], random: object) -> None:
    pool, streams, seen = MODEL.pool(N), [MODEL.stream() for _ in range(N)], [0] * N
    for turn in turns:
        ids = list(turn)
        random.shuffle(ids)  # type: ignore[attr-defined]
        x = np.stack([X[i, seen[i]] for i in ids])
        answers = pool.push(ids, x)
        for i, row in zip(ids, answers, strict=True):
            assert np.array_equal(row, streams[i].push(X[i, seen[i]]))
            seen[i] += 1
    assert states(pool) == [stream.get_state() for stream in streams]


@pytest.mark.parametrize("cpu", _core.instruction_sets())
def test_a_pool_runs_on_every_instruction_set(cpu: str) -> None:
    model = MODEL.replace(cpu=cpu)
    assert np.array_equal(model.pool(N).push(np.arange(N), X[:, 0]), model.run(X[:, :1])[:, 0])


def test_answers_go_where_they_are_told() -> None:
    pool, out = MODEL.pool(4), np.full((2, 2), 7, np.float32)
    assert pool.push(np.array([3, 1]), X[:2, 0], out=out) is out
    assert np.array_equal(out, MODEL.run(X[:2, :1])[:, 0])


@pytest.mark.parametrize("ids", [[0, 0], [0, 4], [-1, 2], [0, 1, 2, 3, 0]])
def test_ids_are_checked_before_any_step(ids: list[int]) -> None:
    pool = MODEL.pool(4)
    pool.push([0, 1, 2, 3], X[:4, 0])
    before = states(pool)
    with pytest.raises(InputError, match=r"push: session -?\d+ \(position \d\) is (not in this pool|named twice)"):
        pool.push(ids, X[: len(ids), 1])
    with pytest.raises(InputError, match="reset: session"):
        pool.reset(ids)
    assert states(pool) == before


@pytest.mark.parametrize(
    ("ids", "message"),
    [([0.5], "whole numbers"), ([[0]], "one dimension"), ("01", "whole numbers"), ([1 << 70], "whole numbers")],
)
def test_ids_must_be_whole_numbers(ids: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MODEL.pool(4).push(ids, X[:1, 0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "x", [X[:3, 0], X[:2, 0, :2], X[0, 0], np.array([["a"] * 3] * 2), X[:2, 0] * 1j, np.full((2, 3), 1e300)]
)
def test_readings_are_checked_before_any_step(x: np.ndarray) -> None:
    pool = MODEL.pool(4)
    with pytest.raises(InputError):
        pool.push([0, 1], x)
    assert states(pool) == states(MODEL.pool(4))


def test_a_reading_that_is_missing_is_named() -> None:
    pool, x = MODEL.pool(4), X[:3, 0].copy()
    x[1, 2] = np.nan
    with pytest.raises(InputError, match="value 2 of row 1 is nan"):
        pool.push([2, 0, 1], x)
    assert states(pool) == states(MODEL.pool(4))


def test_out_must_fit_and_not_share_memory() -> None:
    pool, both = MODEL.pool(4), np.zeros((4, 3), np.float32)
    with pytest.raises(InputError, match="push: out must be"):
        pool.push([0, 1], X[:2, 0], out=np.zeros((2, 3), np.float32))
    square = gw.init(gw.ModelSpec(3, [gw.LayerSpec("dense", units=3)])).pool(4)
    with pytest.raises(InputError, match="share memory"):
        square.push([0, 1, 2, 3], both, out=both)


def test_no_session_is_named() -> None:
    assert MODEL.pool(4).push([], np.empty((0, 3), np.float32)).shape == (0, 2)
    assert MODEL.pool(0).push([], np.empty((0, 3), np.float32)).shape == (0, 2)


def test_reset_save_load_and_resize() -> None:
    pool, zeros = MODEL.pool(4), MODEL.stream().get_state()
    pool.push([0, 1, 2, 3], X[:4, 0])
    first = states(pool)
    pool.reset([2, 0])
    assert states(pool) == [zeros, first[1], zeros, first[3]]
    saved = pool.save(3)
    assert MODEL.stream(saved).get_state() == first[3]
    pool.load(0, saved)
    stream = MODEL.stream()
    stream.push(X[5, 0])
    pool.load(2, stream.state)
    assert states(pool) == [first[3], first[1], stream.get_state(), first[3]]
    pool.resize(6)
    assert states(pool)[3:] == [first[3], zeros, zeros]
    pool.resize(1)
    assert len(pool) == 1
    assert states(pool) == [first[3]]
    pool.reset()
    assert states(pool) == [zeros]


def test_states_and_ids_that_do_not_fit() -> None:
    pool = MODEL.pool(2)
    pool.push([0, 1], X[:2, 0])
    before = states(pool)
    other = gw.init(SPEC.replace(layers=[gw.LayerSpec("gru", units=4)]))
    with pytest.raises(StateError, match="another structure"):
        pool.load(0, other.stream().save())
    with pytest.raises(StateError, match="bytes, got 4"):
        pool.set_state(0, b"1234")
    saved = MODEL.stream().save()
    for id in (2, -1, 1.0, "a", None, True, 1 << 70, -(1 << 70)):
        for call in (pool.save, pool.state, pool.get_state, lambda id: pool.load(id, saved)):
            with pytest.raises(InputError, match=f"^session {id!r} is not in this pool of 2 sessions, .* whole number"):
                call(id)
    for count in (-1, 1 << 40, 1.5, "a", None, True, 1 << 70):
        for call in (pool.resize, MODEL.pool):
            with pytest.raises(InputError, match=f"must be a whole number from 0 to 2147483647, got {count!r}"):
                call(count)
    assert pool.save(np.int64(1)) == pool.save(1)
    assert states(pool) == before


def test_a_pool_too_large_for_memory_leaves_the_old_one() -> None:
    stage = gw.LayerSpec("numeric", width=60_000, missing="hold")
    pool = gw.init(gw.ModelSpec(input=stage, layers=[gw.LayerSpec("dense", units=1)])).pool(3)
    with pytest.raises(MemoryError):
        pool.resize((1 << 31) - 1)
    assert len(pool) == 3


def test_a_pool_can_be_pickled() -> None:
    pool = MODEL.pool(3)
    pool.push([0, 1, 2], X[:3, 0])
    copy = pickle.loads(pickle.dumps(pool))
    assert states(copy) == states(pool)
    assert "3 sessions" in repr(copy)


def test_one_thread_at_a_time() -> None:
    model = gw.init(gw.ModelSpec(16, [gw.LayerSpec("gru", units=256)]))
    pool, ids, x = model.pool(400), np.arange(400), np.zeros((400, 16), np.float32)
    errors: list[Exception] = []
    done = [0]

    def work() -> None:
        for _ in range(30):
            try:
                pool.push(ids, x)
                done[0] += 1
            except BusyError as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done[0] + len(errors) == 120
    assert all("pool is in use" in str(error) for error in errors)
    alone = model.pool(400)
    for _ in range(done[0]):
        alone.push(ids, x)
    assert pool.get_state(399) == alone.get_state(399)


def test_ids_that_change_meanwhile_do_no_harm() -> None:
    """The core reads ids once: what another thread writes to them afterwards cannot lead outside of the pool."""
    model = gw.init(gw.ModelSpec(16, [gw.LayerSpec("gru", units=256)]))
    pool, alone = model.pool(30), model.pool(30)
    ids, rng = np.arange(30), np.random.default_rng(0)
    stop = threading.Event()

    def disturb() -> None:
        for id in itertools.cycle((1 << 40, 0)):  # a thread gives way where a loop begins anew: here with either id
            ids[0] = id
            if stop.is_set():
                return

    interval, answered, refused = sys.getswitchinterval(), 0, 0
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        end = time.monotonic() + 60  # a moment will do, as a rule
        while min(answered, refused) < 5 and time.monotonic() < end:
            x = rng.standard_normal((30, 16), np.float32)
            try:
                answers = pool.push(ids, x)
            except InputError:
                refused += 1
                time.sleep(0)  # the other thread's turn
            else:
                np.testing.assert_array_equal(answers, alone.push(np.arange(30), x))
                answered += 1
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert min(answered, refused) >= 5, "both must have happened"
    assert states(pool) == states(alone)


def test_a_pool_needs_a_model() -> None:
    with pytest.raises(InputError, match="a Pool needs a Model"):
        gw.Pool(None, 3)  # type: ignore[arg-type]

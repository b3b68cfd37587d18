"""Threads: one model for all of them, one stream for each; a stream used by two at once says so and stays whole."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import BusyError
from gatewise.layers.base import Array

MODEL = gw.init(gw.ModelSpec(16, [gw.LayerSpec("gru", units=128), gw.LayerSpec("dense", units=1)]), seed=1)
STEPS = 30_000  # about a quarter of a second of native work


def readings(seed: int, steps: int) -> Array:
    return np.random.default_rng(seed).normal(size=(steps, 16)).astype(np.float32)


LONG = readings(0, STEPS)


@contextmanager
def at_work(stream: gw.Stream) -> Iterator[threading.Thread]:
    """Another thread is inside `push_many` of this stream, for a while."""
    started = threading.Event()

    def work() -> None:
        started.set()
        stream.push_many(LONG)

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    try:
        yield thread
    finally:
        thread.join()


SAVED = MODEL.stream().save()
END = MODEL.run(LONG, return_state=True)[1].to_bytes()
USES: dict[str, Callable[[gw.Stream], object]] = {
    "push": lambda stream: stream.push(LONG[0]),
    "push into": lambda stream: stream.push(LONG[0], out=np.empty(1, np.float32)),
    "push a list": lambda stream: stream.push(LONG[0].tolist()),
    "push_many": lambda stream: stream.push_many(LONG[:5]),
    "reset": lambda stream: stream.reset(),
    "save": lambda stream: stream.save(),
    "load": lambda stream: stream.load(SAVED),
    "state": lambda stream: stream.state,
    "get_state": lambda stream: stream.get_state(),
    "set_state": lambda stream: stream.set_state(bytes(512)),
}


def refused(stream: gw.Stream, use: Callable[[gw.Stream], object]) -> bool:
    try:
        use(stream)
    except BusyError as error:
        assert "in use by another thread; give each thread a stream of its own" in str(error)  # noqa: PT017
        return True
    return False


@contextmanager
def in_use(stream: gw.Stream) -> Iterator[bool]:
    """The same, but from the moment that the other thread is seen to be inside; False if that was missed.

    That it can be seen at all proves that native work lets other threads run.
    """
    with at_work(stream) as thread:
        seen = False
        while thread.is_alive() and not seen:
            seen = refused(stream, lambda stream: stream.get_state())
        yield seen


@pytest.mark.parametrize("name", USES)
def test_a_stream_in_use_refuses_every_other_use_and_keeps_no_trace_of_it(name: str) -> None:
    for _ in range(10):  # on a busy machine the other thread may be done before this one runs again
        stream = MODEL.stream()
        with in_use(stream) as seen:
            hit = seen and refused(stream, USES[name])
        if hit:
            break
    else:
        pytest.fail(f"{name} was never refused while another thread was in push_many")
    assert stream.save() == END
    stream.push_many(LONG[:5])  # free again


def test_one_model_and_a_stream_for_each_thread() -> None:
    inputs = [readings(seed, 400) for seed in range(6)]
    wanted = [MODEL.run(x).tobytes() for x in inputs]

    def one(x: Array) -> list[bytes]:
        stream = MODEL.stream()
        pushed = b"".join(stream.push(row).tobytes() for row in x)
        stream.reset()
        return [pushed, stream.push_many(x).tobytes(), MODEL.run(x).tobytes()]

    with ThreadPoolExecutor(4) as pool:
        for answers, expected in zip(pool.map(one, inputs * 2), wanted * 2, strict=True):
            assert answers == [expected] * 3


def test_a_stream_may_move_from_thread_to_thread() -> None:
    x = readings(3, 60)
    stream, answers = MODEL.stream(), []
    for part in np.split(x, 6):
        with ThreadPoolExecutor(1) as pool:
            answers.append(pool.submit(stream.push_many, part).result())
    assert np.concatenate(answers).tobytes() == MODEL.run(x).tobytes()


def test_models_made_and_dropped_in_threads() -> None:
    def one(seed: int) -> bytes:
        model = gw.init(gw.ModelSpec(3, [gw.LayerSpec("gru", units=17)]), seed=seed % 3)
        return model.stream().push_many(np.ones((50, 3))).tobytes()

    wanted = [one(seed) for seed in range(3)]
    with ThreadPoolExecutor(4) as pool:
        for seed, answer in enumerate(pool.map(one, range(60))):
            assert answer == wanted[seed % 3]

"""Running over examples equals the model itself: its stream, its run over a window, or its run over a series."""

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.comparison import Examples, examples
from gatewise.comparison.running import BATCH, answers_of_series, answers_of_windows


def data(lookback: int, lengths: tuple[int, ...] = (40, 33, 700)) -> Examples:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"id": np.repeat(np.arange(len(lengths)), lengths), "a": rng.normal(size=sum(lengths)),
         "b": rng.normal(size=sum(lengths)), "y": rng.normal(size=sum(lengths))}
    )  # fmt: skip
    frame.loc[rng.random(len(frame)) < 0.2, "y"] = np.nan
    return examples(frame, ["a", "b"], ["y"], lookback=lookback, groups="id")


def model(*kinds: str, context: object = "carried") -> gw.Model:
    layers = [gw.LayerSpec(kind, units=3) for kind in kinds]
    spec = gw.ModelSpec(inputs=2, layers=[*layers, gw.LayerSpec("dense", units=2)], context=context)
    return gw.init(spec, 1)


def doubled(values: np.ndarray) -> np.ndarray:
    return 2 * values


@pytest.mark.parametrize("context", ["carried", {"window": 7}])
def test_windows_equal_streams_that_begin_at_zero(context: object) -> None:
    lstm, some = model("lstm", context=context), data(7)
    assert len(some) > BATCH
    found = answers_of_windows(lstm, some, doubled)
    for k in range(0, len(some), 23):
        stream = lstm.stream()
        for row in some.windows([k])[0]:
            answer = stream.push(2 * row)
        np.testing.assert_allclose(found[k], answer, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("context", ["carried", {"window": 7}])
def test_series_equal_one_stream_for_each(context: object) -> None:
    """Also for a model with a window, which here carries its state."""
    gru, some = model("gru", "rnn", context=context), data(7)
    found = answers_of_series(gru, some, doubled)
    carried = gru.replace(spec=gru.spec.replace(context="carried"))
    for _, start, stop in some.series:
        stream = carried.stream()
        answers = {row: stream.push(2 * some.rows[row]).copy() for row in range(start, stop)}
        for k in np.flatnonzero((some.ends >= start) & (some.ends < stop)):
            np.testing.assert_array_equal(found[k], answers[int(some.ends[k])])


def test_a_bidirectional_model_answers_at_the_end_of_each_window() -> None:
    some = data(6, (30, 25))
    both = gw.bidirectional(gw.LayerSpec("gru", units=3), source="input")
    spec = gw.ModelSpec(inputs=2, layers=[*both, gw.LayerSpec("dense", units=1)], context={"window": 6})
    found = answers_of_windows(gw.init(spec, 2), some, doubled)
    whole = gw.init(spec.replace(context="carried"), 2)
    for k in range(len(some)):
        np.testing.assert_allclose(found[k], whole.run(2 * some.windows([k])[0])[-1], rtol=1e-6, atol=1e-7)


def test_a_function_gets_the_prepared_windows_in_batches() -> None:
    some, sizes = data(4), []

    def mean(windows: np.ndarray) -> np.ndarray:
        sizes.append(len(windows))
        return windows.mean(axis=(1, 2))[:, None]

    found = answers_of_windows(mean, some, doubled)
    np.testing.assert_allclose(found[:, 0], [2 * window.mean() for window in some.windows()], rtol=1e-5, atol=1e-7)
    assert found.dtype == np.float64
    assert max(sizes) == BATCH
    assert sum(sizes) == len(some)


def test_choices_of_examples_get_the_same_answers() -> None:
    gru, some = model("gru"), data(7)
    part = some.of_groups(np.array([1, 2])).spread(50)
    at = np.searchsorted(some.ends, part.ends)
    for run in (answers_of_windows, answers_of_series):
        np.testing.assert_allclose(run(gru, part, doubled), run(gru, some, doubled)[at], rtol=1e-6, atol=1e-7)

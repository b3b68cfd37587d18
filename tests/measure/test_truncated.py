"""Truncated context, against a delay line, whose memory is known exactly, and against runs by hand."""

import math

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.measure import truncated_context
from measure.models import delay_line, linear

X = np.random.default_rng(0).standard_normal((300, 1)).astype(np.float32)


def test_a_delay_line_needs_exactly_its_length() -> None:
    model = delay_line(5)  # answers the reading of 5 steps ago, so it needs the last 6
    assert np.array_equal(model.run(X)[5:], X[:-5])
    seen: list[tuple[int, int]] = []
    found = truncated_context(model, X, [7, 1, 6, 5, 2], every=1, progress=lambda *at: seen.append(at))
    assert found.lags.tolist() == [1, 2, 5, 6, 7]
    assert found.answers == 300 - 6
    # With fewer readings the answer is 0, so the change is the root mean square of the answers themselves.
    delayed = X[1:-5, 0].astype(np.float64)
    rms = math.sqrt(np.mean(delayed**2))
    assert np.allclose(found.change[:, 0], [rms] * 3 + [0, 0], rtol=1e-12, atol=0)
    assert np.allclose(found.relative, [rms / delayed.std()] * 3 + [0, 0], rtol=1e-12, atol=0)
    assert found.reach() == 6
    assert found.reach(share=2.0) == 1
    assert (found.loss, found.full_loss) == (None, None)
    assert seen == [(i, 5) for i in range(1, 6)]
    assert truncated_context(model, X, [1, 5]).reach() == math.inf


def test_losses_are_those_of_the_truncated_answers() -> None:
    model = delay_line(3)
    targets = np.concatenate([np.full(3, np.nan), X[:-3, 0]]) + 0.5  # the exact answer, and half a unit more
    found = truncated_context(model, X, [1, 4], targets, every=1)
    assert found.answers == 297
    assert found.loss is not None
    assert found.full_loss == pytest.approx(0.25, rel=1e-6)
    assert found.loss == pytest.approx([np.mean(targets[3:] ** 2), 0.25], rel=1e-6)
    absolute = truncated_context(model, X, [4], targets, lambda y, t: np.abs(y - t)[:, 0], every=1)
    assert absolute.full_loss == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize("window", [None, 12])
@pytest.mark.parametrize("both", [False, True])
def test_every_model_is_run_on_the_last_readings(window: int | None, both: bool) -> None:
    """Carried, in a window, and bidirectional in a window or over whole sequences of different lengths."""
    part = gw.LayerSpec("gru", units=6)
    layers = [*(gw.bidirectional(part, source="input") if both else [part]), gw.LayerSpec("dense", units=2)]
    context = "carried" if window is None else {"window": window}
    model = gw.init(gw.ModelSpec(inputs=1, layers=layers, context=context), seed=3)
    parts = [X[:100], X[100:160], X[160:]]
    found = truncated_context(model, parts, [1, 4, 12], every=1)
    free = model.replace(spec=model.spec.replace(context="carried"))
    whole = both and window is None
    expected = []
    for lag in (1, 4, 12):
        changes = []
        for x in parts:
            full = np.asarray(model.run(x))
            for t in [len(x) - 1] if whole else range(11, len(x)):
                changes.append(np.asarray(free.run(x[t - lag + 1 : t + 1]))[-1] - full[t])
        expected.append(np.sqrt(np.mean(np.square(changes, dtype=np.float64), axis=0)))
    assert found.answers == (3 if whole else 300 - 33)
    assert np.allclose(found.change, expected, rtol=1e-6, atol=1e-9)
    assert (found.change[0] > 0.01).all()
    if window is not None:
        assert np.allclose(found.change[-1], 0, atol=1e-7)
        assert truncated_context(model, parts).lags.tolist() == [1, 2, 4, 8, 12]


def test_one_target_for_each_window() -> None:
    model, windows = delay_line(2), X.reshape(60, 5, 1)
    found = truncated_context(model, windows, [1, 3], windows[:, 2, 0])
    assert found.answers == 60
    assert found.loss is not None
    assert found.loss == pytest.approx([np.mean(windows[:, 2].astype(np.float64) ** 2), 0.0], abs=1e-12)


def test_constant_outputs_are_left_out_of_the_relative_change() -> None:
    """One output is a delay line, another one is a reading that is always 1."""
    shift = np.diag([0, 1, 1], k=-1)
    model = linear(shift, [[0, 1], [1, 0], [0, 0], [0, 0]], [[0, 0, 0, 1], [1, 0, 0, 0]])
    x = np.concatenate([X, np.ones_like(X)], axis=1)  # the first output is x0 two steps ago, the second is 1
    both = truncated_context(model, x, [1, 3], every=1)
    assert np.allclose(both.relative, [np.sqrt(np.mean(X[:-2].astype(np.float64) ** 2)) / X[:-2].std(), 0], rtol=1e-5)
    shifted = linear(np.eye(2, k=-1), [[1], [0]], [[0, 1]])
    constant = truncated_context(shifted, np.ones((50, 1)), [1, 2], every=1)
    assert constant.relative.tolist() == [math.inf, 0]
    assert constant.reach() == 2


def test_large_levels_are_subtracted_and_answers_have_their_units() -> None:
    stage = gw.LayerSpec("numeric", width=1, subtract=[1e9])
    plain = delay_line(2)
    model = plain.replace(spec=plain.spec.replace(input=stage))
    found = truncated_context(model, X.astype(np.float64) + 1e9, [1, 3])
    assert found.reach() == 3
    assert found.relative[0] > 0.9


def _bad(x: Array, value: float) -> Array:
    x = x.copy()
    x[7] = value
    return x


def test_what_cannot_be_measured_is_refused() -> None:
    model = delay_line(3)
    for x in (X[:0], [], np.zeros((5, 2)), [X, np.zeros((5, 2))]):
        with pytest.raises(InputError):
            truncated_context(model, x)
    with pytest.raises(InputError, match="input 0 is nan in sequence 1, step 7"):
        truncated_context(model, [X, _bad(X, np.nan)])
    with pytest.raises(InputError, match=r"longest sequence has 300 steps, got the lag 301; pass longer"):
        truncated_context(model, X, [301])
    windowed = model.replace(spec=model.spec.replace(context={"window": 4}))
    with pytest.raises(InputError, match="window of 4 readings, got the lag 5"):
        truncated_context(windowed, X, [5])
    for lags in ([], [0], [1.5]):
        with pytest.raises(InputError, match="whole numbers of at least 1"):
            truncated_context(model, X, lags)
    with pytest.raises(InputError, match="a loss needs targets"):
        truncated_context(model, X, loss=lambda y, t: y[:, 0])
    with pytest.raises(InputError, match=r"300 steps and targets of shape \(200, 1\)"):
        truncated_context(model, X, [1], np.zeros(200))
    with pytest.raises(InputError, match="1 outputs a step and there are 2 target values"):
        truncated_context(model, X, [1], np.zeros((300, 2)))
    with pytest.raises(InputError, match="targets must be given for each sequence, got 3"):
        truncated_context(model, [X], [1], 3)
    with pytest.raises(InputError, match="no step has a finite target"):
        truncated_context(model, X, [1], np.full(300, np.nan))
    with pytest.raises(InputError, match="loss must return"):
        truncated_context(model, X, [1], np.zeros(300), lambda y, t: y)
    with pytest.raises(InputError, match="every must be"):
        truncated_context(model, X, [1], every=0)
    with pytest.raises(InputError, match="a gatewise.Model is measured, got dict"):
        truncated_context({}, X)  # type: ignore[arg-type]

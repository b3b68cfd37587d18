"""All measures on models with several layers, heads and windows, with missing readings, and with names of columns."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.measure import column_importance, gates, jacobian_decay, state_dimension, truncated_context, washout

NAMES = ["a", "b"]
X = np.random.default_rng(0).standard_normal((120, 2)).astype(np.float32)
GAPS = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
TARGETS = np.zeros(120)


def _model(missing: str, window: int | None = None, head: bool = True) -> gw.Model:
    stage = gw.LayerSpec("numeric", width=2, columns=NAMES, scaling="standard", missing=missing)
    layers = [gw.LayerSpec("gru", units=4), gw.LayerSpec("lstm", units=3), gw.LayerSpec("dense", units=4)]
    last = gw.LayerSpec("tail_probability", targets=[0, 1]) if head else None
    context = "carried" if window is None else {"window": window}
    return gw.init(gw.ModelSpec(input=stage, layers=layers, head=last, context=context), seed=1)


MEASURES: dict[str, Callable[[gw.Model, Any], Any]] = {
    "context": lambda model, x: truncated_context(model, x, [1, 5]).change,
    "washout": lambda model, x: washout(model, x, trials=3, steps=10).answers,
    "gates": lambda model, x: [layer.time_constants for layer in gates(model, x).layers],
    "dimension": lambda model, x: [state_dimension(model, x).total.participation],
    "importance": lambda model, x: (
        column_importance(model, x, TARGETS, repeats=2, loss=lambda y, t: np.abs(y).sum(axis=1)).increases
    ),
    "jacobian": lambda model, x: jacobian_decay(model, x, length=20).rates,
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("missing", ["raise", "hold", "mask"])
@pytest.mark.parametrize("window", [None, 8])
def test_missing_readings_are_measured_where_the_model_takes_them(
    measure: str, missing: str, window: int | None
) -> None:
    if measure == "washout" and window:
        return
    model = _model(missing, window, head=missing != "mask")
    if missing == "raise":
        with pytest.raises(InputError, match="'[ab]' is nan in sequence 0, step .* clean the data"):
            MEASURES[measure](model, GAPS)
        return
    before = {name: value.copy() for name, value in model.tensors.items()}
    for value in MEASURES[measure](model, GAPS):
        assert np.isfinite(value).all()
    assert all(np.array_equal(value, before[name]) for name, value in model.tensors.items())


@pytest.mark.parametrize("measure", MEASURES)
def test_columns_are_found_by_name(measure: str) -> None:
    model, frame = _model("raise"), pd.DataFrame(X[:, ::-1], columns=NAMES[::-1])
    for one, other in zip(MEASURES[measure](model, X), MEASURES[measure](model, frame), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(InputError, match="lack 'b'"):
        MEASURES[measure](model, frame.drop(columns="b"))

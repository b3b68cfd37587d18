"""One fit resolves its graph once, and packs only what it runs: a model to calibrate with, and the fitted one."""

from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import _core, model, packed

X = np.sin(np.arange(900.0) / 7) + 0.1 * np.random.default_rng(0).normal(size=900)
BIG = 6.23e8 + 1000 * X


@pytest.mark.parametrize("data", [X, np.stack([X, X[::-1]], 1), BIG], ids=["one", "two", "large level"])
@pytest.mark.parametrize(("task", "most"), [(gw.Detector, 2), (gw.Forecaster, 0)])
def test_a_fit_resolves_once(task: Any, most: int, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved, packs = [], []
    resolve, pack = model.resolve, _core.Model
    monkeypatch.setattr(model, "resolve", lambda spec: resolved.append(spec) or resolve(spec))
    monkeypatch.setattr(packed._core, "Model", lambda *given: packs.append(given) or pack(*given))
    task(units=4, steps=2, **({"false_alarms_per_1000": 100} if task is gw.Detector else {"horizons": 2})).fit(data)
    assert len(resolved) == 1
    assert len(packs) <= most

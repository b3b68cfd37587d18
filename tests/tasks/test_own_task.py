"""A task of one's own: in some thirty lines it fits, saves, loads, resumes and streams."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.tables.table import Table
from gatewise.tasks.layout import Layout
from gatewise.tasks.task import Task
from gatewise.train import Status, loop

X: Array = np.sin(np.arange(400.0) / 5)[:, None] + np.random.default_rng(0).normal(0, 0.1, (400, 1))


@dataclass(eq=False, repr=False, kw_only=True)
class Nowcaster(Task):
    """Forecasts the median of the next reading, by the head that forecasters have."""

    kind = "nowcaster"

    def _spec(self, table: Table, layout: Layout) -> ModelSpec:
        head = LayerSpec("quantiles", targets=list(layout.targets), quantiles=[0.5])
        forecast = LayerSpec("dense", "forecast", units=len(layout.targets))
        return ModelSpec(input=self._input(table, layout), layers=[*self._stack(), forecast], head=head)

    def _tensors(self, model: Any, fitting: Any) -> dict[str, Array]:
        return {"head.offset": fitting.offset, "head.scale": fitting.scale}

    def predict(self, data: Any) -> Array:
        return np.asarray(self.model_.run(self._read(data).values, self.state_))


def test_it_fits_saves_loads_and_streams(tmp_path: Path) -> None:
    task = Nowcaster(units=8, steps=60, learning_rate=0.02).fit(X)
    new = np.sin(np.arange(400.0, 460.0) / 5)[:, None]
    answers = task.predict(new)
    assert np.abs(answers[:-1] - new[1:]).mean() < 0.5 * np.abs(np.diff(new, axis=0)).mean()
    task.save(tmp_path / "m")
    again = gw.load_task(tmp_path / "m")
    assert isinstance(again, Nowcaster)
    assert again.get_params() == task.get_params()
    np.testing.assert_array_equal(again.predict(new), answers)
    stream = again.model_.stream(again.state_)
    np.testing.assert_array_equal([stream.push(row) for row in new.astype(np.float32)], answers)
    with pytest.raises(gw.errors.FileError, match="it was not made by a Detector"):
        gw.Detector.load(tmp_path / "m")


def test_it_resumes_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(status: Status) -> None:
        if status.step == 5:
            raise EOFError

    monkeypatch.setattr(loop, "FIRST_CHECKPOINT", 0.0)
    with pytest.raises(EOFError):
        Nowcaster(units=4, steps=9).fit(X, checkpoint=tmp_path / "run", progress=stop)
    went_on = Nowcaster(units=4, steps=9).fit(X, checkpoint=tmp_path / "run")
    whole = Nowcaster(units=4, steps=9).fit(X)
    for name, value in whole.model_.tensors.items():
        np.testing.assert_array_equal(went_on.model_.tensors[name], value, err_msg=name)

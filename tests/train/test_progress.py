"""What a callback is told, and the bar."""

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gatewise.errors import InputError
from gatewise.model import init
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.train import Status, fit
from gatewise.train.progress import describe, lines, reporter


def status(**changes: Any) -> Status:
    values: dict[str, Any] = {"step": 5, "epoch": 1, "fraction": 0.25, "loss": 1.5, "validation": 2.0}
    values |= {"best_validation": 1.75, "clip_rate": 0.5, "steps_per_second": 123.4, "seconds_left": 61.2}
    return Status(**{**values, **changes})


def test_the_line_says_what_matters() -> None:
    line = describe(status())
    for part in ("step 5", "loss 1.5000", "val 2.0000", "clipped 50%", "123 steps/s", "1:02 left"):
        assert part in line
        (word,) = re.findall(r"[a-z]+(?:/s)?", part)
        assert f'("{word}")' in str(Status.__doc__)
        assert word in (Path(__file__).parents[2] / "docs" / "guides" / "training.md").read_text()
    assert "val" not in describe(status(validation=math.nan))
    assert "1:00:01 left" in describe(status(seconds_left=3600.5))
    assert len(describe(status(step=99_999, loss=-1.5, validation=-1.5, steps_per_second=999))) <= 80 - 11  # the bar


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_the_bar_shows_on_a_terminal_only(terminal: bool, shown: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=150, legacy_windows=False)
    with reporter("bar", console) as show:
        assert (show is not None) == shown
        if show is not None:
            show(status())
            show(status(step=20, fraction=1.0))
    assert ("step 5 loss 1.5000" in text.getvalue()) == shown
    assert ("step 20" in text.getvalue()) == shown


def test_true_is_a_bar_or_lines() -> None:
    text = io.StringIO()
    with reporter(True, Console(file=text, force_terminal=True, width=150, legacy_windows=False)) as show:
        assert show is not None
        show(status(fraction=1.0))
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in text.getvalue()
    assert "step 5 loss 1.5000" in text.getvalue()


def test_lines_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("gatewise.train.progress.monotonic", lambda: now)
    said: list[str] = []
    with reporter(True, Console(file=io.StringIO())) as show:
        assert show is not None
        quiet = lines(said.append, end=False)
        for step, now in enumerate((1000.5, 1009.9, 1010.0, 1015.0, 1021.0, 1022.0), 1):  # noqa: B007
            for tell in (show, quiet):
                tell(status(step=step, fraction=step / 6))
    told = [describe(status(step=step)) for step in (3, 5, 6)]
    assert capsys.readouterr().err.splitlines() == [f"gatewise: {line}" for line in told]
    assert said == told[:2]


def test_other_wishes_are_refused() -> None:
    for progress in (None, False):
        with reporter(progress) as show:
            assert show is None
    for wrong in ("lines", 1, 0, [True]):
        with pytest.raises(InputError, match='progress must be "bar", True, a function or None, got'), reporter(wrong):
            pass


def test_quiet_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    spec = ModelSpec(inputs=1, layers=[LayerSpec("dense", units=2)], head=LayerSpec("tail_probability"))
    x = np.random.default_rng(0).standard_normal((100, 1))
    told: list[Status] = []
    fit(init(spec), x, steps=3)
    fit(init(spec), x, steps=3, progress="bar")  # no terminal here
    assert capfd.readouterr() == ("", "")
    fit(init(spec), x, steps=4, evaluate_every=2, progress=told.append)
    assert [s.step for s in told] == [1, 2, 3, 4]
    assert [s.fraction for s in told] == [0.25, 0.5, 0.75, 1.0]
    assert math.isnan(told[0].validation)
    assert math.isfinite(told[1].validation)
    assert told[-1].seconds_left == 0.0
    assert all(s.steps_per_second > 0 for s in told)

"""The task that needs memory, what networks remember of it, and the verdict on the one that forgets."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gatewise as gw
from gatewise.demo import vanishing
from gatewise.demo.recall import COLUMNS, GROUP, LOOKBACK, NEAREST, STRETCH, TARGET, draw, load_changes, table, windows
from gatewise.demo.summary import memory_lines
from gatewise.demo.train import UNITS, begin, fit, save_state_dict
from gatewise.demo.vanishing import SHOWN_LAGS, answers, forgotten, memory_summary, remember
from gatewise.demo.verdict import LEGACY, SPEC, judge, write_legacy
from gatewise.layers.base import Array

EARLIER, LATER = load_changes()


def test_the_changes_are_those_of_statsmodels() -> None:
    from statsmodels.datasets import co2

    ppm = co2.load_pandas().data["co2"]
    later = ppm.loc["1990-01-06":"1999-12-25"].diff().dropna()  # years without a gap
    months = later.index.month
    found = pd.Series(LATER, index=ppm.loc["1982":].index)[later.index]
    slopes = [np.polyfit(later[months == month], found[months == month], 1) for month in range(1, 13)]
    assert np.ptp([slope for slope, _ in slopes]) < 1e-5  # in each month one factor and one offset
    assert EARLIER.std() == pytest.approx(1, rel=1e-5)
    assert len(EARLIER) + len(LATER) == len(ppm.loc["1965":]) - 1


def test_neighbouring_changes_say_little_about_each_other() -> None:
    """Otherwise the marked week could be guessed from the last weeks, and the task would not need memory."""
    for lag in range(NEAREST, LOOKBACK):
        assert abs(np.corrcoef(LATER[lag:], LATER[:-lag])[0, 1]) < 0.17


def test_windows_have_one_mark_and_ask_for_the_difference() -> None:
    drawn = draw(EARLIER, 200, np.random.default_rng(0))
    assert drawn.x.shape == (200, LOOKBACK, len(COLUMNS))
    for x, y, lag in zip(drawn.x, drawn.y, drawn.lag, strict=True):
        (marked,) = np.flatnonzero(x[:, 1])
        assert LOOKBACK - 1 - marked == lag
        assert y == x[-1, 0] - x[marked, 0]
    assert (drawn.lag.min(), drawn.lag.max()) == (NEAREST, LOOKBACK - 1)


def test_the_groups_of_a_table_share_no_week() -> None:
    numbered = np.arange(3 * STRETCH + 7, dtype=np.float32)
    rows = table(numbered, 20, np.random.default_rng(0), 1965)
    assert rows[GROUP].unique().tolist() == ["1965 to 1966", "1967 to 1968", "1969 to 1970"]
    for k, (_, group) in enumerate(rows.groupby(GROUP)):
        assert set(group["change"] // STRETCH) == {k}
    answered = rows[TARGET].notna().to_numpy()
    assert np.array_equal(np.flatnonzero(answered), np.arange(LOOKBACK - 1, len(rows), LOOKBACK))


def test_a_state_dict_of_the_demo_is_one_of_torch(tmp_path: Path) -> None:
    """torch's own module loads it, and answers like the model, and like the importer."""

    class Legacy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.RNN(len(COLUMNS), UNITS, batch_first=True)
            self.fc = torch.nn.Linear(UNITS, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.fc(self.rnn(x)[0][:, -1])
            return found

    model = fit("rnn", EARLIER, 0, 5)
    save_state_dict(model, tmp_path / "legacy.pt")
    module = Legacy()
    module.load_state_dict(torch.load(tmp_path / "legacy.pt", weights_only=True))
    asked = draw(LATER, 50, np.random.default_rng(1))
    with torch.no_grad():
        expected = module(torch.from_numpy(asked.x))[:, 0].numpy()
    assert np.allclose(answers(model, asked), expected, atol=1e-6)
    imported = gw.importers.load(tmp_path / "legacy.pt", SPEC)
    assert np.allclose(answers(imported, asked), expected, atol=1e-6)


def test_the_gradient_of_the_marked_week_is_that_by_hand() -> None:
    """Of an RNN: dh_T/dx_{T-k} = D_T W ... D_{T-k+1} W D_{T-k} w, D = diag(1 - h^2), w the weights of the change."""
    found = remember("rnn", EARLIER, LATER, [3], steps=1)
    model = begin("rnn", 3)
    w_ih, w_hh = (model.tensors[f"rnn0.{name}"].astype(np.float64) for name in ("weight_ih", "weight_hh"))
    rng = np.random.default_rng(0)
    draw(LATER, vanishing.UNSEEN, rng)
    starts = rng.integers(0, len(LATER) - LOOKBACK + 1, vanishing.POSITIONS)
    for lag in (7, 40):
        x = windows(LATER, starts[:1], np.array([lag])).x[0].astype(np.float64)
        h, slopes = np.zeros(UNITS), []
        for row in x:
            h = np.tanh(w_ih @ row + w_hh @ h)
            slopes.append(1 - h**2)
        product: Array = np.eye(UNITS)
        for slope in slopes[-1 : -1 - lag : -1]:
            product = product * slope @ w_hh
        expected = np.linalg.norm(product * slopes[-1 - lag] @ w_ih[:, 0])
        assert found.untrained[0, lag] == pytest.approx(expected, rel=1e-6)


def test_a_plain_rnn_forgets_what_a_gru_remembers() -> None:
    plain, gated = (remember(kind, EARLIER, LATER, [0], steps=500) for kind in ("rnn", "gru"))
    assert plain.forgets
    assert gated.remembers
    assert 0.9 < plain.errors[0] < 1.3
    assert (plain.by_lag > 0.5).all()
    assert (gated.by_lag < 0.2).all()
    assert plain.left(99) < 1e-6 < 1e-2 < gated.left(99)
    found = memory_summary([plain, gated, gated], [0], 500, (len(EARLIER), len(LATER)))
    assert found["RNN"]["forgets"]
    assert not found["RNN"]["remembers"]
    assert found["RNN"]["left"] == [plain.left(lag) for lag in SHOWN_LAGS]
    with_lstm = {**found, "LSTM": found["GRU"]}
    assert [*memory_lines(with_lstm)][-1].endswith("the gated networks remember, with each seed")
    assert "does not show" in [*memory_lines({**with_lstm, "LSTM": found["RNN"]})][-1]


def test_forgetting_costs_the_variance_of_the_changes() -> None:
    """The answer of somebody who knows only the last week, against the reference for the errors."""
    asked = draw(LATER, 20_000, np.random.default_rng(2))
    assert np.mean((asked.x[:, -1, 0] - LATER.mean() - asked.y) ** 2) == pytest.approx(forgotten(LATER), rel=0.05)


def test_the_legacy_model_is_judged_from_its_files(tmp_path: Path) -> None:
    write_legacy(fit("rnn", EARLIER, 0, 60), EARLIER, LATER, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(LEGACY)
    found = judge(tmp_path, 2.0, 0)
    assert found.findings.mapping == "accepted"
    assert found.findings.groups == len(LATER) // STRETCH
    assert found.findings.unseen
    rows = pd.read_csv(tmp_path / "recent.csv")
    model = gw.importers.load(tmp_path / "legacy.pt", tmp_path / "legacy.json")
    asked = rows[list(COLUMNS)].to_numpy(np.float32).reshape(-1, LOOKBACK, len(COLUMNS))
    errors = np.asarray(model.run(asked))[:, -1, 0] - rows[TARGET].dropna().to_numpy()
    assert found.findings.candidates[0].metric == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)

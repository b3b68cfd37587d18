"""The Shakespeare benchmark measures what it says: what a table of pairs knows, and the cross entropy of answers."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import gatewise as gw
from gatewise.train import to_torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import shakespeare


def test_a_table_of_pairs_by_hand() -> None:
    # 0 is followed by 1 twice and by 0 once; 1 by 0 once and by 1 once.
    training, validation = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 1, 2])
    found = shakespeare.pairs(training, validation, 3)
    entropy = -(2 * math.log(2 / 3) + math.log(1 / 3) + 2 * math.log(1 / 2)) / 5
    assert found["entropy of a pair, training text"] == pytest.approx(entropy, rel=1e-12)
    cross = -(math.log(3 / 6) + math.log(1 / 5)) / 2
    assert found["cross entropy of pairs, validation text"] == pytest.approx(cross, rel=1e-12)


def test_the_score_is_torchs_cross_entropy() -> None:
    model = shakespeare.model("gru", 5, blocks=2, width=8, seed=1)
    text = np.random.default_rng(0).integers(0, 5, 200)
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(text), 5).double()
    with torch.no_grad():
        answers, _ = to_torch(model).double()(one_hot[None, :-1])
    wanted = torch.nn.functional.cross_entropy(answers[0], torch.from_numpy(text[1:])).item()
    assert shakespeare.score(model, text) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("kind", shakespeare.RECURRENT)
def test_training_changes_every_matrix(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(shakespeare, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    untrained = shakespeare.model(kind, 5, blocks=1, width=8, seed=1)
    text = np.random.default_rng(0).integers(0, 5, shakespeare.ROWS * (shakespeare.STEPS + 50))
    trained, steps = shakespeare.train(untrained, text, 4)
    assert steps == 3, "a step a tick: the text, too short for two pieces, begins again"
    assert isinstance(trained, gw.Model)
    assert all((trained.tensors[name] != value).any() for name, value in untrained.tensors.items())

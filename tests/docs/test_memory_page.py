"""docs/memory.md says what docs/memory.json holds, and what it computes by hand is what networks compute."""

import json
import re

import numpy as np
import pytest
import torch

from docs.scripts import DOCS, script
from gatewise.demo.recall import LOOKBACK, draw, load_changes
from gatewise.demo.train import fit

figures = script("figures")
FOUND = json.loads((DOCS / "memory.json").read_text())
TEXT = (DOCS / "memory.md").read_text()


def test_each_number_of_the_text_is_that_of_the_results() -> None:
    assert figures.filled(TEXT, figures.values(FOUND)) == TEXT, "write it anew: python docs/figures.py --page"
    shown = re.sub(r"<!--.*?-->", "", TEXT)
    assert f"reads {LOOKBACK} weeks" in shown
    assert f"{FOUND['RNN']['error']:.3f}" in shown


def test_no_line_begins_with_a_number() -> None:
    """Markdown takes a line that begins with a comment out of its paragraph."""
    assert not re.search(r"^<!--", TEXT, re.MULTILINE)


def test_a_number_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        figures.filled("<!--nothing-->1<!--/-->", figures.values(FOUND))


def test_what_the_page_concludes_was_found() -> None:
    assert FOUND["RNN"]["forgets"]
    assert FOUND["LSTM"]["remembers"]
    assert FOUND["GRU"]["remembers"]
    assert FOUND["other"]["best"] > 0.9  # no other setting of the RNN helps
    assert FOUND["GRU"]["left"][-1] > 1e6 * FOUND["RNN"]["left"][-1]
    assert FOUND["untrained"]["GRU"] < FOUND["untrained"]["RNN"]
    assert all(value < 1e-6 for value in FOUND["factors"].values())
    stored = FOUND["stored"]
    assert max(stored["marked"]) < min(stored["ordinary"])
    assert min(stored["follows"]) > 0.9


def test_the_unit_by_hand_is_that_of_torch() -> None:
    """The states and, by automatic differentiation, the factors and their product."""
    hand = figures.by_hand()
    cell = torch.nn.RNNCell(1, 1, bias=False).double()
    with torch.no_grad():
        cell.weight_ih.fill_(1.0)
        cell.weight_hh.fill_(0.5)
    first = cell(torch.tensor([[1.0]], dtype=torch.float64)).detach().requires_grad_()
    second = cell(torch.zeros(1, 1, dtype=torch.float64), first)
    third = cell(torch.zeros(1, 1, dtype=torch.float64), second)
    states = [float(h.detach()) for h in (first, second, third)]
    assert [hand["h1"], hand["h2"], hand["h3"]] == pytest.approx(states, rel=1e-12)
    (product,) = torch.autograd.grad(third, first)
    assert hand["product"] == pytest.approx(float(product), rel=1e-12)
    assert hand["product"] == pytest.approx(hand["f2"] * hand["f3"], rel=1e-12)


def test_the_product_of_factors_is_a_gradient() -> None:
    x = torch.from_numpy(load_changes()[1][:30].astype(np.float64))
    states = [torch.zeros((), dtype=torch.float64, requires_grad=True)]
    for value in x:
        states.append(torch.tanh(value + 1.5 * states[-1]))
    for lag in (0, 1, 10, 20):
        (slope,) = torch.autograd.grad(states[-1], states[-1 - lag], retain_graph=True)
        assert figures.factors(1.5, x.numpy(), 20)[lag] == pytest.approx(abs(float(slope)), rel=1e-9)


def test_the_gate_is_that_of_torch() -> None:
    """z of torch's GRU for one unit of a trained one, which is that of the figure."""
    earlier, later = load_changes()
    model = fit("gru", earlier, 0, 20)
    asked = draw(later, 30, np.random.default_rng(0))
    found = figures.stored(model, asked)
    module = torch.nn.GRU(2, model.tensors["gru0.weight_hh"].shape[1], batch_first=True)
    module.load_state_dict(
        {
            f"{name}_l0": torch.from_numpy(model.tensors[f"gru0.{name}"].copy())
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
    )
    with torch.no_grad():
        x = torch.from_numpy(asked.x)
        hidden = module(x)[0]
        unit = int(np.argmin([np.abs(hidden[..., k].numpy() - found.hidden).max() for k in range(hidden.shape[2])]))
        assert np.allclose(hidden[..., unit], found.hidden, atol=1e-5)
        before = torch.cat([torch.zeros_like(hidden[:, :1]), hidden[:, :-1]], dim=1)
        sums = x @ module.weight_ih_l0.T + module.bias_ih_l0 + before @ module.weight_hh_l0.T + module.bias_hh_l0
        z = torch.sigmoid(sums[..., hidden.shape[2] + unit])  # the order of torch is r, z, n
    assert np.allclose(z.numpy(), found.kept, atol=1e-5)

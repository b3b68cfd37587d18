"""Measure what docs/memory.md shows, draw its figures, and write its numbers.

python docs/figures.py            measures (some minutes on one core), writes docs/memory.json, then all of the below
python docs/figures.py --page     draws docs/images/memory_*.svg and fills the numbers of docs/memory.md from
                                  docs/memory.json; figures that need the trained networks are left as they are

A number in the text of the page stands between <!--KEY--> and <!--/-->, where KEY is a key of `values`.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gatewise.demo.figures import draw_memory
from gatewise.demo.recall import LOOKBACK, Windows, draw, load_changes, windows
from gatewise.demo.report import share
from gatewise.demo.train import fit
from gatewise.demo.vanishing import KINDS, STEPS, Memory, answers, forgotten, memory_summary, remember
from gatewise.figures import Size, style
from gatewise.figures.style import BLUE, CYCLE, DOTTED, GREY, legend_above
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.report.drawings import svg_file
from gatewise.spec import ModelSpec

FOLDER = Path(__file__).parent
PAGE, FOUND = FOLDER / "memory.md", FOLDER / "memory.json"
SIZE = Size(width=7.2, font=11, rows=1)

SEEDS = (0, 1, 2)
OTHER = [(rate, start) for start in ("gatewise", "torch") for rate in (0.003, 0.01, 0.03)]
"""Learning rates and starts of further RNNs, with each of `SEEDS`."""

INPUTS, WEIGHT_IN, WEIGHT = (1.0, 0.0, 0.0), 1.0, 0.5
"""The unit of the page that is computed by hand: three inputs, and the weights of the input and of the state."""

KEPT = 0.95
"""The gate of the unit with a gate."""

WEIGHTS = (0.5, 0.9, 1.0, 1.5, 2.0)
"""The recurrent weights whose products of factors are drawn."""

_NUMBER = re.compile(r"(<!--([\w.]+)-->).*?(<!--/-->)", re.DOTALL)


def by_hand() -> dict[str, float]:
    """The unit of the page on its three inputs: states, factors and their product, with plain Python."""
    h1 = math.tanh(WEIGHT_IN * INPUTS[0])
    h2 = math.tanh(WEIGHT_IN * INPUTS[1] + WEIGHT * h1)
    h3 = math.tanh(WEIGHT_IN * INPUTS[2] + WEIGHT * h2)
    f2, f3 = (WEIGHT * (1 - h**2) for h in (h2, h3))
    g2, g3 = KEPT * h1, KEPT**2 * h1
    return {
        "w": WEIGHT, "h1": h1, "s2": WEIGHT * h1, "h2": h2, "s3": WEIGHT * h2, "h3": h3, "f2": f2, "f3": f3,
        "product": f2 * f3, "kept": KEPT, "lost": 1 - KEPT, "g2": g2, "g3": g3, "gate_product": KEPT**2,
    }  # fmt: skip


def factors(weight: float, changes: Array, lags: int) -> Array:
    """|d h_T / d h_{T-k}| of the unit h' = tanh(x + weight h) for k = 0 .. lags at the end of a series, (lags + 1,)."""
    h, slopes = 0.0, []
    for x in changes.tolist():
        h = math.tanh(x + weight * h)
        slopes.append(weight * (1 - h**2))
    return np.abs(np.cumprod([1.0, *slopes[: -lags - 1 : -1]]))


def factor_figure(changes: Array) -> Figure:
    """The products of factors of one unit, for several weights."""
    with style(SIZE):
        figure = Figure(figsize=(SIZE.width, 3.0), layout="constrained")
        ax = figure.subplots()
        ax.spines[["top", "right"]].set_visible(False)
        for weight, colour in zip(WEIGHTS, (*CYCLE, GREY), strict=False):
            ax.plot(factors(weight, changes, 60), color=colour, lw=1.8, label=f"w = {weight:g}")
        ax.set_yscale("log")
        ax.set_xlim(0, 60)
        ax.set_xlabel("lag, weeks back")
        ax.set_ylabel("product of factors")
        legend_above(ax)
        return figure


def memory_figure(memories: Sequence[Memory]) -> Figure:
    """The gradient and the error by lag."""
    with style(SIZE):
        figure = Figure(figsize=(SIZE.width, 5.2), layout="constrained")
        draw_memory(figure, memories)
        return figure


@dataclass(frozen=True)
class Stored:
    """The unit of a GRU whose state at the end follows the change of the marked week most closely.

    Attributes:
        hidden: (n, weeks) its state after each week of each window.
        kept: (n, weeks) the share of its old state that it keeps in each week.
        follows: the correlation of its last state with the change of the marked week, without the sign.
    """

    hidden: Array
    kept: Array
    follows: float

    def ordinary(self, asked: Windows) -> float:
        """The mean share that it keeps in weeks without a mark."""
        return float(self.kept[asked.x[:, :, 1] == 0].mean())

    def marked(self, asked: Windows) -> float:
        """The mean share that it keeps in the marked week or the one after it, whichever is lower."""
        each = np.arange(len(asked))
        mark = LOOKBACK - 1 - asked.lag
        return float(np.minimum(self.kept[each, mark], self.kept[each, mark + 1]).mean())


def stored(model: Model, asked: Windows) -> Stored:
    """Find the unit of a GRU of `gatewise.demo.train.fit` that stores the marked week."""
    node = model.graph.nodes[0]
    tensors = {name: value for name, value in model.tensors.items() if name.startswith(f"{node.name}.")}
    hidden = np.asarray(Model(ModelSpec(inputs=2, layers=[model.spec.nodes[0]]), tensors).run(asked.x))  # (n, weeks, H)
    before = np.concatenate([np.zeros_like(hidden[:, :1]), hidden[:, :-1]], axis=1)
    plain = {name.partition(".")[2]: value.astype(np.float64) for name, value in tensors.items()}
    rows = asked.x.reshape(-1, asked.x.shape[2]).astype(np.float64)
    kept = node.layer.gates(plain, {"hidden": before.reshape(len(rows), -1)}, rows)[str(node.layer.retention)]
    marked = asked.x[asked.x[:, :, 1] == 1][:, 0]
    follows = [abs(np.corrcoef(hidden[:, -1, unit], marked)[0, 1]) for unit in range(hidden.shape[2])]
    unit = int(np.argmax(follows))
    return Stored(hidden[..., unit], kept.reshape(hidden.shape)[..., unit], float(follows[unit]))


def gate_figure(model: Model, changes: Array, lag: int = 60) -> Figure:
    """The gate and the state of the unit that stores the marked week, in one window."""
    count = 200
    starts = np.linspace(0, len(changes) - LOOKBACK, count).astype(int)
    asked = windows(changes, starts, np.full(count, lag))
    found = stored(model, asked)
    shown = int(np.argmax(np.abs(asked.x[:, LOOKBACK - 1 - lag, 0])))  # the largest marked change is seen best
    with style(SIZE):
        figure = Figure(figsize=(SIZE.width, 3.4), layout="constrained")
        panels = figure.subplots(2, 1, sharex=True)
        lines = ((found.kept[shown], "kept share"), (found.hidden[shown], "state"))
        for ax, (values, label) in zip(panels, lines, strict=True):
            ax.spines[["top", "right"]].set_visible(False)
            ax.axvline(LOOKBACK - 1 - lag, color=GREY, lw=1, ls=DOTTED)
            ax.plot(np.arange(LOOKBACK), values, color=BLUE, lw=1.8)
            ax.set_ylabel(label)
        panels[0].set_ylim(0, 1.05)
        panels[0].annotate(
            "the marked week", (LOOKBACK - 1 - lag, 0.12), xytext=(16, 0), textcoords="offset points", va="center"
        )
        panels[1].set_xlabel("week of the window")
        panels[1].set_xlim(0, LOOKBACK - 1)
        return figure


def measure() -> tuple[dict[str, Any], list[Memory]]:
    """All that is measured, as plain JSON values, and the networks."""
    earlier, later = load_changes()
    memories = [remember(kind, earlier, later, SEEDS) for kind in KINDS]
    found = memory_summary(memories, SEEDS, STEPS, (len(earlier), len(later)))
    unseen = draw(later, 3_000, np.random.default_rng(1))
    errors = []
    for rate, start in OTHER:
        for seed in SEEDS:
            model = fit("rnn", earlier, seed, STEPS, rate, start)
            errors.append(float(((answers(model, unseen) - unseen.y) ** 2).mean() / forgotten(later)))
    found["other"] = {"errors": errors, "best": min(errors), "rates": sorted({rate for rate, _ in OTHER})}
    found["untrained"] = {
        each.name: float(np.median(each.untrained[:, -1] / each.untrained[:, 1])) for each in memories
    }
    units = [stored(model, unseen) for model in memories[2].models]
    found["stored"] = {
        "ordinary": [unit.ordinary(unseen) for unit in units],
        "marked": [unit.marked(unseen) for unit in units],
        "follows": [unit.follows for unit in units],
    }
    found["factors"] = {f"{weight:g}": float(factors(weight, later, 60)[-1]) for weight in WEIGHTS}
    return found, memories


def values(found: dict[str, Any]) -> dict[str, str]:
    """What stands in the text of the page: key -> text."""
    hand = {
        f"hand.{key}": f"{value:.4f}" if round(value, 2) != value else f"{value:g}" for key, value in by_hand().items()
    }
    text = {key: f"{found[key]:,}" for key in ("units", "steps", "weeks", "unseen_weeks", "lookback", "nearest")}
    for name in ("RNN", "LSTM", "GRU"):
        own = found[name]
        text |= {f"{name}.error": f"{own['error']:.3f}", f"{name}.left": share(own["left"][-1])}
        text |= {f"{name}.solved": str(own["solved"]), f"{name}.untrained": share(found["untrained"][name])}
        text |= {f"{name}.left20": share(own["left"][found["lags"].index(20)])}
    rates = [f"{rate:g}" for rate in found["other"]["rates"]]
    return {
        **hand,
        **text,
        "furthest": str(found["lookback"] - 1),
        "seeds": str(len(found["seeds"])),
        "other.count": str(len(found["other"]["errors"])),
        "other.best": f"{found['other']['best']:.2f}",
        "other.rates": f"{', '.join(rates[:-1])} or {rates[-1]}",
        **{f"stored.{key}": span(own) for key, own in found["stored"].items()},
        "factor.low": share(found["factors"]["0.5"]),
        "factor.one": share(found["factors"]["1"]),
        "factor.high": share(found["factors"]["2"]),
    }


def span(shares: Sequence[float]) -> str:
    """The lowest and the highest of several shares, in percent."""
    low, high = (f"{100 * end(shares):.0f}" for end in (min, max))
    return f"{low} %" if low == high else f"{low} to {high} %"


def filled(page: str, texts: dict[str, str]) -> str:
    """The page with each number as it is in the results."""
    return _NUMBER.sub(lambda match: f"{match[1]}{texts[match[2]]}{match[3]}", page)


def main(arguments: Sequence[str]) -> None:
    """Measure unless told otherwise, and write page and figures."""
    _, later = load_changes()
    if "--page" not in arguments:
        found, memories = measure()
        FOUND.write_text(json.dumps(found, indent=1) + "\n")
        (FOLDER / "images" / "memory_forgetting.svg").write_text(svg_file(memory_figure(memories), "forgetting"))
        (FOLDER / "images" / "memory_gate.svg").write_text(svg_file(gate_figure(memories[2].models[-1], later), "gate"))
    (FOLDER / "images" / "memory_factors.svg").write_text(svg_file(factor_figure(later), "factors"))
    PAGE.write_text(filled(PAGE.read_text(), values(json.loads(FOUND.read_text()))))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Cases for `gatewise.assess` whose right verdict follows from how they are made.

Each case is a function (law of the noise, seed) -> `Case`. `verdict_process.py` has the processes and says which model
is the best one for them. `TRUTH` says for each case why its verdict is right, without any assessment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from verdict_process import LAWS, LOOKBACK, ROWS, Memories, Noise, frame

import gatewise as gw

REFUSED = "refused"
"""What is right instead of a verdict if the data must not be used: an `InputError`."""

SD = 0.7
"""Standard deviation of the noise, if nothing else is said. That of the targets without noise is about 1.5."""

KNOWN, JUDGING = 100, 40
"""Numbers of groups of the data and of the unseen data, if nothing else is said."""

PROCESS = Memories((0.5, 0.8), (1.0, -1.0))
"""The process of most cases."""


@dataclass(frozen=True)
class Case:
    """A model and data with a known truth.

    Attributes:
        model: the model that is assessed.
        data, unseen: the tables.
        right: the right verdicts, or `REFUSED`.
        check: code of the check that must have failed, if the verdict is right for one reason alone; "" = none.
        arguments: further arguments of `gatewise.assess`.
    """

    model: gw.Model
    data: pd.DataFrame
    unseen: pd.DataFrame
    right: frozenset[str]
    check: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


def oversized(law: Noise, seed: int) -> Case:
    """The exact model, with four times the units that it needs."""
    return _case(PROCESS.model(4 * len(PROCESS.decays), seed), PROCESS, law, seed, "shrink", judging=80, budget=60.0)


def starved(law: Noise, seed: int) -> Case:
    """A model that reads the last row alone, where the target is about memories."""
    return _case(PROCESS.of_last_row(), PROCESS, law, seed, "recurrence", budget=25.0)


def noise(law: Noise, seed: int) -> Case:
    """A network with random weights, whose last layer is fitted to targets that are nothing but noise."""
    known, judging = (_noise(law, groups, seed, part) for part, groups in enumerate((KNOWN, JUDGING)))
    arguments = _arguments(["x0", "x1"], 25.0, seed)
    return Case(fitted(known, seed), known, judging, frozenset({"baseline"}), arguments=arguments)


def linear(law: Noise, seed: int) -> Case:
    """The exact network of a process that is linear in the inputs."""
    process = Memories((0.5, 0.8), (1.0, -1.0), bend=0.0, squash=0.05)
    return _case(process.model(4, seed), process, law, seed, "baseline", budget=25.0)


def drifted(law: Noise, seed: int) -> Case:
    """The exact model of an old process, while the weight of one memory has changed."""
    new = Memories((0.5, 0.8), (1.0, -0.4))
    return _case(PROCESS.model(), new, law, seed, "retrain", budget=25.0)


def sound(law: Noise, seed: int) -> Case:
    """The exact model of five memories, with eight units."""
    process = Memories((0.4, 0.5, 0.6, 0.7, 0.8), (0.7, -0.7, 0.7, -0.7, 0.7))
    return _case(process.model(8, seed), process, law, seed, "keep", known=30, budget=60.0)


def carried(law: Noise, seed: int) -> Case:
    """The exact model, but its state is carried within a series instead of being zero before each window."""
    process = Memories((0.9, 0.93), (1.0, -1.0))
    return _case(
        process.model(), process, law, seed, "reset", sd=0.4, budget=25.0, context="series",
        lookback=LOOKBACK,
    )  # fmt: skip


def exchanged(law: Noise, seed: int) -> Case:
    """The exact model reads its two columns in the wrong order."""
    return _case(
        PROCESS.model(), PROCESS, law, seed, "insufficient", check="GW001", budget=10.0,
        inputs=PROCESS.columns[::-1],
    )  # fmt: skip


def contaminated(law: Noise, seed: int) -> Case:
    """A fifth of the unseen groups are groups of the data under other names."""
    made = _case(PROCESS.model(), PROCESS, law, seed, REFUSED, budget=10.0)
    copies = made.data[made.data["id"].isin([f"g{k}" for k in range(JUDGING // 5)])]
    kept = made.unseen[~made.unseen["id"].isin([f"u{k}" for k in range(JUDGING // 5)])]
    unseen = pd.concat([kept, copies.assign(id="copy of " + copies["id"])], ignore_index=True)
    return Case(made.model, made.data, unseen, made.right, arguments=made.arguments)


def few(law: Noise, seed: int) -> Case:
    """The drifted model, judged by eight groups."""
    new = Memories((0.5, 0.8), (1.0, -0.4))
    return _case(PROCESS.model(), new, law, seed, "insufficient", check="GW004", judging=8, budget=10.0)


def unclear(law: Noise, seed: int) -> Case:
    """The weight of a memory has changed a little, and twelve short groups with much noise are to show it."""
    new = Memories((0.5, 0.8), (1.0, -0.5))
    return _case(PROCESS.model(), new, law, seed, "insufficient", sd=1.0, judging=12, rows=LOOKBACK + 3, budget=25.0)


CASES: dict[str, Callable[[Noise, int], Case]] = {
    made.__name__: made
    for made in (oversized, starved, noise, linear, drifted, sound, carried, exchanged, contaminated, few, unclear)
}

TRUTH = {
    "oversized": (
        "A network with half its units can still be exact, with two of its units, and needs fewer than half the bytes."
    ),
    "starved": (
        "The inputs of different rows are independent, so the last row tells nothing about the others, however a layer "
        "that reads it is trained. A GRU can be exact; a linear function misses the bends."
    ),
    "noise": (
        "The inputs tell nothing about the target, so no model is better than its mean, and a constant is that. The "
        "network is worse than it by less than 1 %, because it has nine parameters for thousands of rows."
    ),
    "linear": (
        "The target is linear in the window, so a ridge regression reaches the noise, and it needs fewer than half the "
        "bytes of the network."
    ),
    "drifted": (
        "The architecture can be exact for the new process, with another weight in its last layer; the old weights "
        "cannot be."
    ),
    "sound": (
        "The model has no error but the noise, so nothing can be better. With half the units the state has four "
        "values, too few for five independent memories, each of which is bent."
    ),
    "carried": (
        "The target depends on the last twelve rows alone. From a state of zero before each window the model is exact; "
        "if its state is carried, it also remembers older rows."
    ),
    "exchanged": "With its columns in the right order, the model is exact.",
    "contaminated": "A fifth of the unseen groups stand in the data, so they are not unseen.",
    "few": "Eight groups are fewer than the ten that are needed.",
    "unclear": (
        "The exact model of the new process is better by more than the least gain. But even if this model and "
        "not a trained one were compared, such data would hardly ever show that, or the contrary."
    ),
}
"""Why the verdict of each case is right, by its construction."""

DEVELOPMENT = {"laws": ("gaussian",), "seeds": (100, 101, 102)}
"""With these the sizes and budgets of the cases were chosen."""

JUDGED = {"laws": ("student", "grouped", "skewed"), "seeds": (0, 1, 2)}
"""With these the verdicts are judged."""


def case(name: str, law: str, seed: int) -> Case:
    """The case of this name."""
    return CASES[name](LAWS[law], seed)


def fitted(known: pd.DataFrame, seed: int, units: int = 8) -> gw.Model:
    """A GRU with random weights whose last layer is fitted to a table by least squares.

    On the table it is better than any constant, because a constant is among the functions that are fitted. On new rows
    its squared error is greater by about the share (units + 1) / rows, for targets that are nothing but noise.
    """
    columns = [name for name in known.columns if name not in ("id", "y")]
    layers = [gw.LayerSpec("gru", units=units), gw.LayerSpec("dense", units=1)]
    model = gw.init(gw.ModelSpec(inputs=len(columns), layers=layers, context={"window": LOOKBACK}), seed)
    states = gw.init(gw.ModelSpec(inputs=len(columns), layers=layers[:1]), seed)
    states = states.replace(tensors={name: model.tensors[name] for name in states.tensors})
    groups = known["id"].nunique()
    x = known[columns].to_numpy(np.float32).reshape(groups, -1, len(columns))
    y = known["y"].to_numpy().reshape(groups, -1)
    ends = range(LOOKBACK - 1, x.shape[1])
    last = np.concatenate([np.asarray(states.run(x[:, end - LOOKBACK + 1 : end + 1]))[:, -1] for end in ends])
    design = np.column_stack([last, np.ones(len(last))]).astype(float)
    found = np.linalg.lstsq(design, y[:, LOOKBACK - 1 :].T.ravel(), rcond=None)[0].astype(np.float32)
    return model.replace(tensors={**model.tensors, "dense0.weight": found[None, :-1], "dense0.bias": found[-1:]})


def _case(
    model: gw.Model, process: Memories, law: Noise, seed: int, right: str, *, budget: float, sd: float = SD,
    check: str = "", known: int = KNOWN, judging: int = JUDGING, rows: int = ROWS, inputs: list[str] | None = None,
    **more: Any,
) -> Case:  # fmt: skip
    """A case whose data and unseen data come from a process.

    Args:
        model: the model that is assessed.
        process: where the data come from.
        law, sd: the noise.
        seed: of everything.
        right: the right verdict.
        budget: seconds of the assessment.
        check: see `Case`.
        known, judging: numbers of groups of the data and of the unseen data.
        rows: of a group of the unseen data.
        inputs: the columns as the model reads them; None = those of the process.
        more: further arguments of `gatewise.assess`.
    """
    data = process.table(known, law, sd, 10 * seed)
    unseen = process.table(judging, law, sd, 10 * seed + 1, rows, name="u{}")
    arguments = {**_arguments(inputs or process.columns, budget, seed), **more}
    return Case(model, data, unseen, frozenset({right}), check, arguments)


def _noise(law: Noise, groups: int, seed: int, part: int) -> pd.DataFrame:
    rng = np.random.default_rng(10 * seed + part)
    x = rng.normal(size=(groups, ROWS, 2))
    return frame(x, law(rng, groups, ROWS), ["x0", "x1"], "gu"[part] + "{}")


def _arguments(inputs: list[str], budget: float, seed: int) -> dict[str, Any]:
    return {"inputs": inputs, "target": "y", "groups": "id", "scaler": "none", "budget": budget, "seed": seed}

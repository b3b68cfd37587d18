"""What an assessment is about: the examples, the model with its mapping, and what the owner demands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from pandas.api.types import is_numeric_dtype

from gatewise.assessment.incumbent import Incumbent, answering, context_of, imported, model_of
from gatewise.assessment.scaler import SCALERS, scaler_of
from gatewise.assessment.stated import check_numbers
from gatewise.comparison.examples import Examples, examples
from gatewise.comparison.metrics import Metric, metric_of
from gatewise.errors import ANY, InputError, Parameter
from gatewise.model import Model
from gatewise.tables.frames import to_frame
from gatewise.tables.times import listed

MOST_LOOKBACK = 64
"""The window of baselines and challengers, if the model carries its state and no lookback is stated."""

JUDGE, VALIDATION = 0.25, 0.2
"""Shares of the groups: of the data that judge if there are no unseen data, and of the rest that choose baselines."""

SAME = 0.01
"""The share of judging examples that may stand in the data besides those that do by chance."""


@dataclass(frozen=True)
class Setup:
    """What is assessed, on what, and how.

    Attributes:
        incumbent: the model with its mapping.
        data: examples to check the mapping with and to train challengers on.
        judge: examples that judge; unseen ones, or a part of the data that is then not in `data`.
        unseen: whether the incumbent has not seen `judge`.
        metric: the metric.
        min_gain: least gain that is worth a change, as a share.
        latency, memory: constraints in seconds and bytes, or None.
        anchors: positions of the targets among the inputs, if all are inputs; else None.
        horizon: number of rows between window and target.
        season: number of rows in a season, or None.
        proposed: what the user did not state and was proposed: name -> what was taken, in words.
        challengers: names of the models that are known by their predictions alone, besides the incumbent.
        seed: of all random choices.
        targets, groups, time: names of the columns of the data.
    """

    incumbent: Incumbent
    data: Examples
    judge: Examples
    unseen: bool
    metric: Metric
    min_gain: float
    latency: float | None
    memory: int | None
    anchors: tuple[int, ...] | None
    horizon: int
    season: int | None
    proposed: Mapping[str, str]
    challengers: tuple[str, ...]
    seed: int
    targets: tuple[str, ...]
    groups: str | None
    time: str | None

    @property
    def group_words(self) -> str:
        """What the groups are, for sentences."""
        return "blocks of time" if self.judge.blocks else "groups"


def setup(
    *,
    model: Any,
    data: Any,
    unseen: Any,
    inputs: Sequence[str] | None,
    target: str | Sequence[str] | None,
    lookback: int | None,
    horizon: int,
    season: int | None,
    groups: str | None,
    time: str | None,
    scaler: Any,
    target_scaler: Any,
    context: str | None,
    spec: Any,
    predictions: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None,
    challengers: Mapping[str, str | Sequence[str]] | None,
    metric: Any,
    latency: float | None,
    memory: int | None,
    min_gain: float,
    seed: int,
) -> Setup:
    """Read everything that the user states, and propose what is missing.

    Args:
        model, data, unseen, inputs, target, lookback, horizon, season, groups, time, scaler, target_scaler, context,
        spec, predictions, challengers, metric, latency, memory, min_gain, seed: see `gatewise.assess`.

    Raises:
        InputError: what is stated does not fit together, or not to the data.
        FileError: the file of the model cannot be read.
    """
    name, runnable, function = model_of(model, spec)
    if (model is None) != (predictions is not None):
        raise InputError(
            "give either a model or its predictions, as columns of the data: ", Parameter("predictions", ANY)
        )
    check_numbers(horizon=horizon, season=season, latency=latency, memory=memory, min_gain=min_gain, seed=seed)
    targets = _targets(target)
    own = {key: _listed(columns) for key, columns in (challengers or {}).items()}
    if predictions is not None:
        stated = predictions if isinstance(predictions, Mapping) else {name: predictions}
        if len(stated) != 1:
            raise InputError(
                f"one model is assessed, but predictions of {len(stated)} are given: {listed([*stated])}; keep one of "
                "them, and give the others as ",
                Parameter("challengers"),
            )
        ((name, columns),) = stated.items()
    if name in own:
        raise InputError(f"the model and a challenger are both called {name!r}; give the challenger another name")
    if predictions is not None:
        own = {name: _listed(columns), **own}
    for key, columns in own.items():
        if len(columns) != len(targets):
            raise InputError(
                f"{key!r} has {len(columns)} columns of predictions, but the number of targets is {len(targets)}; name "
                "one column for each target"
            )
    _check_numeric(data, targets)
    proposed: dict[str, str] = {}
    others = {*targets, groups, time, *(column for columns in own.values() for column in columns)}
    chosen = _inputs(inputs, runnable, data, others if horizon == 0 else others - set(targets), proposed)
    for parameter, names in (("inputs", chosen), ("target", targets)):
        if not names:
            raise InputError(
                "no column is named or left; simple methods and challengers need at least one besides targets and "
                "predictions; pass ",
                Parameter(parameter, ANY),
            )
        if twice := [each for each in names if names.count(each) > 1]:
            raise InputError(f"the column {twice[0]!r} is named twice; name it once in ", Parameter(parameter))
    if answers := [each for each in chosen if any(each in columns for columns in own.values())]:
        raise InputError(
            f"{answers[0]!r} holds predictions, which are never inputs; leave it out of ", Parameter("inputs")
        )
    if horizon == 0 and (both := [each for each in chosen if each in targets]):
        raise InputError(
            f"{both[0]!r} is an input and the target of the same row; leave it out of ", Parameter("inputs"),
            ", or state how many rows later the target comes: ", Parameter("horizon", 1),
        )  # fmt: skip
    if runnable is not None and getattr(runnable.graph.head, "classes", None) is not None:
        raise InputError(
            "the model answers with classes, and models are judged by answers that are numbers; judge the probability "
            "of one class, as a column of the data: ",
            Parameter("predictions", ANY),
        )
    if runnable is not None and len(chosen) != runnable.inputs:
        raise InputError(
            f"the model reads {runnable.inputs} inputs in a row, but {len(chosen)} columns are given: "
            f"{listed(chosen)}; pass ",
            Parameter("inputs", ANY),
            " in the order of its training",
        )
    if runnable is not None and (outputs := len(answering(runnable))) != len(targets):
        raise InputError(
            f"the model answers with {outputs} values, but the number of targets is {len(targets)}: "
            f"{listed(targets)}; name as many with ",
            Parameter("target", ANY),
        )
    how, window = context_of(runnable, function, lookback, context)
    window = window or MOST_LOOKBACK

    def read(table: Any, given: Mapping[str, Sequence[str]], what: str) -> Examples:
        return examples(
            table, chosen, targets, lookback=window, horizon=horizon, groups=groups, time=time, given=given,
            whole=how == "series" and runnable is not None, what=what,
        )  # fmt: skip

    # Challengers are compared on the judging rows alone; of the model, all predictions are looked at.
    asked = own if unseen is None else {key: columns for key, columns in own.items() if key == name}
    try:
        known = read(data, asked, "the data")
        judge = None if unseen is None else read(unseen, own, "the unseen data")
    except InputError as error:
        if "inputs" not in proposed:
            raise
        raise InputError(
            error, f"; the inputs were not stated, so these columns were taken: {listed(chosen)}; pass ",
            Parameter("inputs", ANY),
        ) from None  # fmt: skip
    if judge is not None:
        _check_targets(judge, "the unseen data")
        _check_unseen(known, judge)
    else:
        known, judge = _divided(known, horizon, seed)
    _check_targets(known, "the data")
    measure = metric_of(metric, "value")
    target_scale = scaler_of(target_scaler, targets, known.wanted)
    incumbent = Incumbent(
        name, runnable, function, scaler_of(None, chosen, known.rows), target_scale, how, tuple(range(len(chosen)))
    )
    theirs = function is not None or hasattr(model, "state_dict") or (runnable is not None and imported(runnable))
    if scaler is None and theirs:
        incumbent = _with_proposed_scalers(incumbent, known, measure, target_scaler is None, proposed)
    else:
        incumbent = replace(incumbent, scaler=scaler_of(scaler, chosen, known.rows))
    at = {column: k for k, column in enumerate(chosen)}
    anchors = tuple(at[each] for each in targets) if horizon and all(each in at for each in targets) else None
    return Setup(
        incumbent, known, judge, unseen is not None, measure, float(min_gain), latency, memory, anchors, horizon,
        season, proposed, tuple(key for key in own if key != name), seed, tuple(targets), groups, time,
    )  # fmt: skip


def _check_numeric(data: Any, targets: Sequence[str]) -> None:
    """Raise InputError if a target is no number."""
    frame, _, _ = to_frame(data)
    for name in targets:
        if name in frame.columns and not is_numeric_dtype(frame[name]):
            raise InputError(
                f"the target {name!r} does not consist of numbers; models are judged by answers that are numbers, and "
                "a classifier by the probability of one class, with targets of 0 and 1"
            )


def _targets(target: str | Sequence[str] | None) -> list[str]:
    if target is None:
        raise InputError("the column of the true answers is not known; pass ", Parameter("target", ANY))
    return _listed(target)


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _inputs(
    stated: Sequence[str] | None, model: Model | None, data: Any, others: set[str | None], proposed: dict[str, str]
) -> list[str]:
    """The columns that the model reads, in order."""
    if stated is not None:
        return _listed(stated)
    if model is not None and model.columns is not None:
        return list(model.columns)
    frame, _, _ = to_frame(data)
    rest = [name for name in frame.columns if str(name) not in others]
    found = [str(name) for name in rest if is_numeric_dtype(frame[name])]
    proposed["inputs"] = f"all other columns of numbers, in the order of the data: {', '.join(found)}"
    return found


def _with_proposed_scalers(
    incumbent: Incumbent, data: Examples, metric: Metric, answers_too: bool, proposed: dict[str, str]
) -> Incumbent:
    """The incumbent with those of the common scalers with which it is best on the data.

    Args:
        incumbent: the model.
        data: the examples.
        metric: the metric.
        answers_too: whether the scaler of its answers is not stated either.
        proposed: is told what was taken.
    """
    some, found = data.spread(400), {}
    scaled_answers = {"stated": incumbent.target_scaler}
    if answers_too:
        scaled_answers = {name: scaler_of(name, data.target_names, data.wanted) for name in SCALERS}
    for name, (answers, target_scaler) in product(SCALERS, scaled_answers.items()):
        scaler = scaler_of(name, data.columns, data.rows)
        tried = replace(incumbent, scaler=scaler, target_scaler=target_scaler)
        try:
            found[name, answers] = metric.of(some.targets, tried.answers(some)), tried
        except InputError:  # it has no finite answers to inputs that are scaled in this way
            continue
    if not found:
        raise InputError(
            f"{incumbent.name} has finite answers with none of the scalers {listed(SCALERS)}; pass ",
            Parameter("scaler", ANY),
        )
    name, answers = min(found, key=lambda each: found[each][0])
    told = {each: min(value for (other, _), (value, _) in found.items() if other == each) for each, _ in found}
    numbers = ", ".join(f"{each} {value:.4g}" for each, value in told.items())
    proposed["scaler"] = f"{name}, because the {metric.name} of the model on the data is then least ({numbers})"
    if answers_too and answers != "none":
        without = found.get((name, "none"))
        worse = "" if without is None else f" ({found[name, answers][0]:.4g}; {without[0]:.4g} without)"
        proposed["target_scaler"] = f"{answers}, because the {metric.name} is then least{worse}"
    return found[name, answers][1]


def _divided(data: Examples, horizon: int, seed: int) -> tuple[Examples, Examples]:
    """The examples without, and those of the groups that judge."""
    if len(np.unique(data.groups)) < 2:
        raise InputError(
            "all rows belong to one group, so none are left to judge with; pass data with several groups, or ",
            Parameter("unseen", ANY),
        )
    rest, judge = data.parted(JUDGE, horizon, seed)
    if not len(rest):
        raise InputError(
            f"{len(data):,} rows with a target are too few to be divided into rows to train on and later rows to "
            "judge with; pass longer series, or ",
            Parameter("unseen", ANY),
        )
    # As many blocks as possible judge: a quarter of those of the whole series would be few.
    return rest, judge.in_blocks(horizon) if judge.blocks else judge


def _check_unseen(data: Examples, judge: Examples) -> None:
    """Raise InputError if more judging examples stand in the data than would by chance.

    Examples are the same if the last rows of their windows and their targets are. By chance, a new example stands in
    the data with a probability of 1 - (examples that occur once) / (all examples), as Good 1953 estimates it.
    """
    rows = min(3, data.lookback or 1)

    def ends(of: Examples) -> list[bytes]:
        parts = [of.rows[of.ends - k] for k in range(rows)]
        return [row.tobytes() for row in np.hstack([*parts, of.targets.astype(np.float32)]).astype(np.float32)]

    known, judging = ends(data), ends(judge)
    often = Counter(known)
    chance = sum(often[each] > 1 for each in known) / len(known)
    error = (chance * (1 - chance) * (1 / len(known) + 1 / len(judging))) ** 0.5
    same = sum(each in often for each in judging)
    if same / len(judging) > chance + 4 * error + SAME:
        raise InputError(
            f"{same:,} of the {len(judging):,} windows of the unseen data stand in the data as well, so they are not "
            "unseen; leave these rows out of the data"
        )


def _check_targets(data: Examples, what: str) -> None:
    if (np.ptp(data.targets, axis=0) == 0).any():
        raise InputError(
            f"{what}: a target is the same in all {len(data):,} rows that have one, so no model can be judged; pass "
            "rows in which it varies"
        )

"""All simple methods that predict, and which of them suit a question."""

from __future__ import annotations

from collections.abc import Sequence

from gatewise.baselines.logistic import Logistic
from gatewise.baselines.method import CLASSIFICATION, REGRESSION, Method
from gatewise.baselines.naive import Constant, RepeatLast, SeasonalNaive
from gatewise.baselines.ridge import Ridge
from gatewise.baselines.trees import TreesLast, TreesWindow
from gatewise.errors import InputError

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Constant",
    "Logistic",
    "Method",
    "RepeatLast",
    "Ridge",
    "SeasonalNaive",
    "TreesLast",
    "TreesWindow",
    "named",
    "suitable",
]

MOST_BOOSTINGS = 8
"""Greatest number of outputs for which trees are suitable: each output needs a boosting of its own."""


def suitable(
    kind: str,
    own: Sequence[int] | None = None,
    season: int | None = None,
    horizons: Sequence[int] = (1,),
    *,
    lookback: int | None = None,
    classes: int | None = None,
    loss: str = "squared",
    random_state: int = 0,
) -> list[Method]:
    """The methods that make sense for a question, the simplest first.

    Args:
        kind: "regression" or "classification".
        own: if the targets are future values of columns of the window, the positions of these columns; else None. The
            outputs are ordered by target, then by horizon: there are len(own) * len(horizons).
        season: number of rows in a season; None = no season.
        horizons: for targets that are columns, the rows from the last of the window to the target.
        lookback: number of rows of the windows; a season that is longer is not used. None = not known yet.
        classes: number of classes; None = the largest class of the fit plus 1.
        loss: "squared" or "absolute", the error by which methods are compared, for those that can minimise either.
            Trees take about ten times as long for the absolute error.
        random_state: seed of the methods that sample.
    """
    if kind == CLASSIFICATION:
        names = ["constant", "logistic", "trees_last", "trees_window"]
    elif kind == REGRESSION:
        repeated = season is not None and season > 1 and (lookback is None or season <= lookback)
        boosted = own is None or len(own) * len(horizons) <= MOST_BOOSTINGS
        names = [
            "constant",
            *(["last"] if own is not None else []),
            *(["seasonal"] if own is not None and repeated else []),
            "ridge",
            *(["trees_last", "trees_window"] if boosted else []),
        ]
    else:
        raise InputError(f'kind must be "regression" or "classification", got {kind!r}')
    return [
        named(name, kind, own, season, horizons, classes=classes, loss=loss, random_state=random_state)
        for name in names
    ]


def named(
    name: str,
    kind: str = REGRESSION,
    own: Sequence[int] | None = None,
    season: int | None = None,
    horizons: Sequence[int] = (1,),
    *,
    classes: int | None = None,
    loss: str = "squared",
    random_state: int = 0,
) -> Method:
    """One method by its name, with the arguments of `suitable`.

    Raises:
        InputError: there is no such method for this question.
    """
    anchor = None if own is None else [column for column in own for _ in horizons]
    trees = {"trees_last": TreesLast, "trees_window": TreesWindow}
    if name == "constant":
        return Constant(loss, kind, classes)
    if name in trees:
        return trees[name](loss, kind, classes, random_state)
    if name == "logistic" and kind == CLASSIFICATION:
        return Logistic(classes, random_state)
    if name == "ridge" and kind == REGRESSION:
        return Ridge(anchor)
    if name == "last" and anchor is not None:
        return RepeatLast(anchor)
    if name == "seasonal" and own is not None and anchor is not None and season is not None:
        return SeasonalNaive(anchor, season, list(horizons) * len(own))
    raise InputError(f"there is no method {name!r} for this question")

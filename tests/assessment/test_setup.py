"""What is stated about a model and its data: each contradiction is an error that says what to do."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from assessment.tables import answers, linear
from gatewise.assessment.scaler import scaler_of
from gatewise.assessment.setup import MOST_LOOKBACK, Setup, setup
from gatewise.errors import InputError

DATA = linear(12)
STATED: dict[str, Any] = {
    "unseen": None, "inputs": ["u", "v", "w"], "target": "y", "lookback": 4, "horizon": 0, "season": None,
    "groups": "id", "time": None, "scaler": "none", "target_scaler": None, "context": None, "spec": None,
    "predictions": None, "challengers": None, "metric": None, "latency": None, "memory": None, "min_gain": 0.05,
    "seed": 0,
}  # fmt: skip


def made(model: Any = answers, data: Any = DATA, **changed: Any) -> Setup:
    stated = {**STATED, **changed}
    return setup(model=model, data=data, **stated)


def gru(inputs: int = 3, outputs: int = 1) -> gw.Model:
    layers = [gw.LayerSpec("gru", units=3), gw.LayerSpec("dense", units=outputs)]
    return gw.init(gw.ModelSpec(inputs=inputs, layers=layers), 0)


def column(**changed: Any) -> pd.DataFrame:
    return DATA.assign(**changed)


CLASSES = gw.init(
    gw.ModelSpec(
        inputs=3, layers=[gw.LayerSpec("dense", units=2)], head=gw.LayerSpec("softmax", classes=["on", "off"])
    ),
    0,
)
GRU, EARLY = gru(), DATA.groupby("id").cumcount()
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "too few inputs": ({"model": GRU, "inputs": ["u", "v"]}, "reads 3 inputs in a row, but 2 columns .*inputs="),
    "too many targets": ({"model": GRU, "target": ["y", "old"]}, "answers with 1 values, .* 2: 'y', 'old'"),
    "no target": ({"target": None}, "true answers is not known; pass target="),
    "an unknown target": ({"target": "z"}, "no column 'z'"),
    "an unknown input": ({"inputs": ["u", "v", "z"]}, "no column 'z'"),
    "a target that is an input": ({"inputs": ["u", "v", "y"]}, "'y' is an input and the target of the same row"),
    "an input twice": ({"inputs": ["u", "v", "u"]}, "'u' is named twice"),
    "a target twice": ({"target": ["y", "y"]}, "'y' is named twice"),
    "no inputs": ({"inputs": []}, "no column is named or left.*pass inputs="),
    "an unknown scaling": ({"scaler": "robust"}, "scaler must be"),
    "too short": ({"lookback": 41}, "a window has 41 rows, but the longest series has 40"),
    "one group": ({"data": linear(1)}, "all rows belong to one group.*unseen="),
    "constant targets": ({"data": column(y=1.0)}, "the data: a target is the same in all"),
    "constant unseen targets": ({"unseen": linear(12, seed=1).assign(y=1.0)}, "the unseen data: a target is the same"),
    "no targets at all": ({"data": column(y=np.nan)}, "no row with a value in 'y'"),
    "a gap": ({"data": column(u=DATA["u"].where(DATA.index != 50))}, "no finite reading at row 50, series .g1."),
    "a gap before a series": (
        {
            "model": GRU, "context": "series",
            "data": column(u=DATA["u"].where(EARLY > 0), y=DATA["y"].where(EARLY > 20)),
        },
        "column 'u' has no finite reading at row 0",
    ),
    "no column in the unseen data": ({"unseen": DATA.drop(columns="u")}, "no column 'u'"),
    "unseen data that are the data": ({"unseen": DATA}, "444 of the 444 windows of the unseen data stand in the data"),
    "unseen data that are known in part": (
        {"unseen": pd.concat([linear(12, seed=1), DATA[DATA["id"] == "g3"].assign(id="new")])},
        "37 of the 481 windows of the unseen data stand in the data",
    ),
    "neither model nor predictions": ({"model": None}, "either a model or its predictions"),
    "model and predictions": ({"predictions": "old"}, "either a model or its predictions"),
    "predictions as inputs": ({"model": None, "predictions": "old", "inputs": ["u", "old"]}, "'old' holds predictions"),
    "classes": ({"model": CLASSES, "target": "y"}, "answers with classes.*predictions="),
    "two models": ({"model": None, "predictions": {"a": "old", "b": "u"}}, "predictions of 2 are given.*challengers"),
    "one name for two": (
        {"model": None, "predictions": {"a": "old"}, "challengers": {"a": "w"}, "inputs": ["u"]},
        "the model and a challenger are both called 'a'",
    ),
    "a challenger called as the function": (
        {"challengers": {"answers": "old"}}, "the model and a challenger are both called 'answers'",
    ),
    "predictions for another number of targets": ({"challengers": {"a": ["old", "w"]}}, "'a' has 2 columns"),
    "a gap in predictions": (
        {"model": None, "predictions": "old", "data": column(old=DATA["old"].where(DATA.index != 50))},
        "the predictions of 'predictions', has no finite value",
    ),
    "latency": ({"latency": 0}, "latency must be .*leave out latency"),
    "latency as text": ({"latency": "2ms"}, "latency must be .*leave out latency"),
    "memory": ({"memory": -1}, "memory must be .*leave out memory"),
    "min_gain": ({"min_gain": 0}, "least gain must be a share .*min_gain=0.05"),
    "min_gain that is no number": ({"min_gain": float("nan")}, "least gain must be a share .*min_gain=0.05"),
    "horizon": ({"horizon": -1}, "horizon must be .*horizon=0"),
    "lookback": ({"lookback": 0}, "lookback must be"),
    "seed": ({"seed": -1}, "seed must be .*seed=0"),
    "season": ({"season": 0}, "season must be"),
    "season as text": ({"season": "x"}, "season must be"),
    "latency that is a truth": ({"latency": True}, "latency must be"),
    "a target of text": ({"data": column(y="good")}, "target 'y' does not consist of numbers"),
    "metric": ({"metric": "r2"}, "must be one of rmse, mae, mse"),
    "no rows": ({"data": DATA[:0]}, "no rows"),
    "no file": ({"data": "none.csv"}, "none.csv"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str) -> None:
    changed, told = BAD[case]
    with pytest.raises(InputError, match=told):
        made(**changed)


def test_rows_that_resemble_each_other_anyway_are_not_taken_for_known_ones() -> None:
    """Readings of few values: many rows of the unseen data stand in the data by chance."""

    def coarse(seed: int) -> pd.DataFrame:
        return linear(12, seed=seed).round({"u": 0, "v": 0, "w": 0, "y": 0})

    case = made(data=coarse(0), unseen=coarse(1), inputs=["u"], lookback=1, model=lambda windows: windows[:, -1, 0])
    assert case.unseen


def test_inputs_are_taken_from_the_model_or_proposed() -> None:
    found = made(inputs=None, predictions="old", model=None)
    assert found.data.columns == ("u", "v", "w")
    assert found.proposed["inputs"].endswith(": u, v, w")
    spec = gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=2, columns=["w", "u"]), layers=[gw.LayerSpec("dense", units=1)]
    )
    named = made(gw.init(spec), inputs=None)
    assert named.data.columns == ("w", "u")
    assert "inputs" not in named.proposed


@pytest.mark.parametrize("name", ["none", "minmax", "standard"])
def test_the_scaling_is_proposed_that_suits_the_model(name: str) -> None:
    right = made(scaler=name).incumbent.scaler

    def trained(windows: np.ndarray) -> np.ndarray:
        return answers(windows * right.scale + right.offset)

    found = made(trained, scaler=None)
    assert found.incumbent.scaler.name == name
    assert found.proposed["scaler"].startswith(f"{name}, because")


def test_nothing_is_proposed_for_a_model_of_gatewise() -> None:
    """Its own scaling is part of it, whether or not a task made it."""
    found = made(GRU, scaler=None)
    assert (found.incumbent.scaler.name, found.proposed) == ("none", {})


def test_a_model_that_carries_its_state_gets_windows_for_the_others() -> None:
    found = made(GRU, linear(12, rows=80), lookback=None)
    assert (found.incumbent.context, found.data.lookback) == ("series", MOST_LOOKBACK)


@pytest.mark.parametrize("seed", range(3))
def test_groups_that_judge_are_not_in_the_data(seed: int) -> None:
    found = made(seed=seed)
    assert not found.unseen
    assert len(set(found.judge.groups)) == 3
    assert not set(found.judge.groups) & set(found.data.groups)
    assert not set(found.judge.order) & set(found.data.order)


@pytest.mark.parametrize(("lookback", "horizon"), [(1, 0), (7, 0), (1, 24), (30, 5)])
def test_the_judging_rows_of_one_series_are_later_than_all_that_is_known(lookback: int, horizon: int) -> None:
    """No row of a window or target of the data is read by, or later than, the first judging window."""
    series = linear(1, rows=900).drop(columns=["id", "old"])
    found = made(lambda w: w[:, -1, 0], series, groups=None, lookback=lookback, horizon=horizon)
    assert len(set(found.judge.groups)) >= 6
    assert found.judge.blocks
    last_known = int((found.data.ends + horizon).max())
    first_read = int(found.judge.ends.min()) - lookback + 1
    assert last_known < first_read
    assert last_known > first_read - 3, "nothing is given away either"
    assert int(found.judge.ends.max()) + horizon == 899


def test_too_short_a_series_is_refused() -> None:
    series = linear(1, rows=12).drop(columns=["id", "old"])
    with pytest.raises(InputError, match="too few to be divided"):
        made(lambda w: w[:, -1, 0], series, groups=None, lookback=8)


def test_anchors_are_the_targets_among_the_inputs() -> None:
    assert made(horizon=2, inputs=["u", "y"], model=lambda w: w[:, -1, 1]).anchors == (1,)
    assert made(horizon=2, inputs=["u", "v"], model=lambda w: w[:, -1, 1]).anchors is None
    assert made().anchors is None


def test_the_scaling_of_the_answers_is_that_of_the_column() -> None:
    """Also if no window ends in rows with small answers, and some groups judge."""
    falling = DATA.assign(y=DATA["y"] + 100 - 2 * EARLY)
    found = made(data=falling, target_scaler="minmax").incumbent.target_scaler
    assert found.offset == pytest.approx(falling["y"].min())
    assert found.scale == pytest.approx(np.ptp(falling["y"]))


@pytest.mark.parametrize("name", ["none", "minmax", "standard"])
def test_the_scaling_of_the_answers_is_proposed(name: str) -> None:
    right = scaler_of(name, ["y"], DATA[["y"]].to_numpy())

    def trained(windows: np.ndarray) -> np.ndarray:
        return (answers(windows) - right.offset) / right.scale

    found = made(trained, scaler=None)
    assert found.incumbent.target_scaler.name == name
    assert ("target_scaler" in found.proposed) == (name != "none")


def test_columns_of_challengers_are_needed_where_they_are_judged() -> None:
    unseen = linear(12, seed=1).assign(new=1.0)
    found = made(unseen=unseen, challengers={"new": "new"})
    assert found.judge.given["new"].shape == (len(found.judge), 1)
    with pytest.raises(InputError, match="no column 'new'"):
        made(challengers={"new": "new"})


def test_only_numbers_are_proposed_as_inputs() -> None:
    found = made(inputs=None, predictions="old", model=None, data=DATA.assign(site="north"))
    assert found.data.columns == ("u", "v", "w")


def test_what_was_taken_is_told_if_it_does_not_fit() -> None:
    gap = DATA.assign(lazy=DATA["u"].where(DATA.index != 50))
    with pytest.raises(InputError, match="'lazy' has no finite .* these columns were taken: .*'lazy'; pass inputs="):
        made(inputs=None, predictions="old", model=None, data=gap)


def test_numbers_of_numpy_are_numbers() -> None:
    found = made(lookback=np.int64(4), horizon=np.int32(0), min_gain=np.float32(0.25), seed=np.uint8(3))
    assert (found.data.lookback, found.min_gain) == (4, 0.25)


def test_many_blocks_judge_one_series() -> None:
    """A quarter of the rows judge, in as many blocks as windows allow, and not in a quarter of the blocks."""
    series = linear(1, rows=2000).drop(columns=["id", "old"])
    assert len(set(made(lambda w: w[:, -1, 0], series, groups=None).judge.groups)) >= 35

"""The check of the mapping: exchanged columns are caught, and a right mapping is not suspected."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from assessment.tables import answers, linear
from gatewise.assessment.incumbent import Incumbent, model_of
from gatewise.assessment.mapping import check_mapping, constant_answers
from gatewise.assessment.scaler import scaler_of
from gatewise.comparison import Examples, examples, metric_of

RMSE = metric_of("rmse", "value")
LINEAR = gw.LayerSpec("dense", units=1)


def data(inputs: list[str], seed: int = 0, groups: int = 12, **options: Any) -> Examples:
    return examples(linear(groups, seed=seed), inputs, ["y"], lookback=4, groups="id", **options)


def incumbent(given: Any, some: Examples, scaler: Any = None) -> Incumbent:
    name, model, function = model_of(given)
    none = scaler_of(None, ["y"], some.targets)
    order = tuple(range(len(some.columns)))
    return Incumbent(name, model, function, scaler_of(scaler, some.columns, some.rows), none, "window", order)


def check(given: Any, some: Examples, confirmed: bool = False, scaler: Any = None, min_gain: float = 0.05) -> Any:
    return check_mapping(incumbent(given, some, scaler), some, RMSE, min_gain, confirmed, 1.0)


@pytest.mark.parametrize("order", [["v", "u", "w"], ["u", "w", "v"], ["w", "v", "u"], ["v", "w", "u"]])
@pytest.mark.parametrize("scaler", [None, "standard", "minmax"])
def test_exchanged_columns_are_caught(order: list[str], scaler: Any) -> None:
    some = data(order)
    spread = scaler_of(scaler, some.columns, some.rows)

    def unscaled(windows: np.ndarray) -> np.ndarray:
        of = [["v", "u", "w"].index(name) for name in ("v", "u", "w")]  # all columns have about the same spread
        return answers(windows * spread.scale[of] + spread.offset[of])

    found = check(unscaled, some, scaler=scaler)
    assert found.status == "suspect"
    swaps = found.checks[0]
    assert (swaps.code, swaps.status) == ("GW001", "failed")
    assert found.text.startswith("Mapping suspect: with ")
    assert swaps.measured["swaps"] == 3
    first, second = swaps.measured["best_swap"]
    assert repr(first) in found.text
    assert repr(second) in found.text


def test_the_exchange_that_is_named_is_the_one_that_was_made() -> None:
    found = check(answers, data(["w", "v", "u"]))
    assert set(found.checks[0].measured["best_swap"]) == {"w", "u"}


def test_a_right_mapping_is_hardly_ever_suspected() -> None:
    """20 instances of data and a model that was not trained perfectly; 5 % may be suspected."""
    suspected = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        skew = rng.normal(0, 0.3, (1, 4, 3))
        found = check(lambda windows, skew=skew: answers(windows + skew) + 0.2, data(["u", "v", "w"], seed))
        assert found.checks[1].status == "passed"
        suspected += found.status != "accepted"
    assert suspected == 0


def test_columns_of_the_same_use_are_not_suspected() -> None:
    """Without any difference between columns, an exchange gains nothing; noise must not look like a gain."""
    for seed in range(20):
        some = data(["u", "v", "w"], seed, groups=10)
        found = check(lambda windows: 0.1 * windows[:, -1].sum(axis=1), some)
        assert found.checks[0].status == "passed"


def test_a_model_worse_than_a_constant_is_not_judged_unless_confirmed() -> None:
    some = data(["u", "v", "w"])
    found = check(lambda windows: answers(windows) + 5, some)
    assert found.status == "worse than a constant"
    assert (found.checks[1].code, found.checks[1].status) == ("GW002", "failed")
    assert found.checks[1].measured["constant"] == pytest.approx(some.targets.std(), rel=1e-6)
    confirmed = check(lambda windows: answers(windows) + 5, some, confirmed=True)
    assert confirmed.status == "accepted"
    assert confirmed.checks[1].status == "failed", "it is told all the same"


def test_the_constant_is_the_best_one() -> None:
    some = data(["u"])
    for metric, centre in (
        ("rmse", some.targets.mean()),
        ("mse", some.targets.mean()),
        ("mae", np.median(some.targets)),
    ):
        np.testing.assert_allclose(constant_answers(some, some, metric_of(metric, "value")), centre)


def test_one_input_and_predictions_alone_have_no_columns_to_exchange() -> None:
    one = check(lambda windows: windows[:, -1, 0], data(["u"]))
    assert (one.status, one.checks[0].status, one.checks[1].status) == ("accepted", "not applicable", "passed")
    some = data(["u", "v"], given={"predictions": ["old"]})
    alone = check(None, some)
    assert (alone.status, alone.checks[0].status, alone.checks[1].status) == ("accepted", "not applicable", "passed")


@pytest.mark.parametrize("groups", [1, 2, 9])
def test_few_groups_are_no_evidence_about_a_mapping(groups: int) -> None:
    found = check(answers, data(["w", "v", "u"], groups=groups))
    assert found.checks[0].status == "not applicable"
    assert f"The data have {groups} groups, and at least 10 are needed" in found.checks[0].text
    assert check(answers, data(["w", "v", "u"], groups=10)).checks[0].status == "failed"


def test_a_constant_that_is_hardly_better_is_told_and_no_obstacle() -> None:
    """A model that knows nothing, on ten groups: it answers with a constant a little beside the mean."""
    some = data(["u", "v", "w"], groups=10)
    mean = float(some.targets.mean())
    found = check(lambda windows: np.full(len(windows), mean + 0.1), some)
    constant = found.checks[1]
    assert constant.measured["model"] > constant.measured["constant"]
    assert (found.status, constant.status) == ("accepted", "failed")
    assert constant.text.endswith("The difference is within its error.")


def test_predictions_that_are_worse_than_a_constant_are_told_about_their_units() -> None:
    frame = linear(12).assign(old=lambda table: 100 * table["old"])
    some = examples(frame, ["u"], ["y"], lookback=4, groups="id", given={"predictions": ["old"]})
    found = check(None, some)
    assert found.status == "worse than a constant"
    assert "other units" in found.text
    assert "columns" not in found.text


def test_a_model_that_carries_its_state_is_tried_on_whole_series() -> None:
    """Of 200 series, some are run from their beginning, and not all of them for examples that are spread over all."""
    some, rows = data(["u", "v", "w"], groups=200), []

    class Counted(Incumbent):
        def answers(self, examples: Examples) -> np.ndarray:
            rows.append(len(np.unique(examples.groups)))
            return super().answers(examples)

    plain = incumbent(gw.init(gw.ModelSpec(inputs=3, layers=[gw.LayerSpec("gru", units=2), LINEAR])), some)
    carried = Counted(**{**vars(plain), "context": "series"})
    check_mapping(carried, some, RMSE, 0.05, True, 1.0)
    assert min(rows) == 10
    assert max(rows) < 100


def test_many_columns_are_corrected_for() -> None:
    """60 columns of noise besides: 1,953 exchanges, of which the right one is found."""
    frame, rng = linear(12), np.random.default_rng(1)
    for k in range(60):
        frame[f"noise{k}"] = rng.normal(size=len(frame))
    names = ["w", "v", "u", *(f"noise{k}" for k in range(60))]
    some = examples(frame, names, ["y"], lookback=4, groups="id")
    found = check(lambda windows: answers(windows[..., :3]), some)
    assert found.status == "suspect"
    assert set(found.checks[0].measured["best_swap"]) == {"w", "u"}
    assert found.checks[0].measured["swaps"] == 63 * 62 // 2


@pytest.mark.parametrize("right", ["none", "minmax", "standard"])
@pytest.mark.parametrize("stated", ["none", "minmax", "standard"])
def test_a_wrong_scaling_is_suspected(right: str, stated: str) -> None:
    """The columns have other levels and spreads than 0 and 1, so that each scaling is another one."""
    frame = linear(12).assign(u=lambda t: 5 * t["u"] + 20, v=lambda t: 5 * t["v"] - 30, w=lambda t: 5 * t["w"] + 40)
    some = examples(frame, ["u", "v", "w"], ["y"], lookback=4, groups="id")
    trained = scaler_of(right, some.columns, some.rows)

    def model(windows: np.ndarray) -> np.ndarray:
        return answers((windows * trained.scale + trained.offset - [20, -30, 40]) / 5)

    found = check(model, some, scaler=stated)
    check_ = found.checks[2]
    assert check_.code == "GW009"
    if right == stated:
        assert (found.status, check_.status) == ("accepted", "passed")
    else:
        assert (found.status, check_.status) == ("suspect", "failed")
        assert f"with the inputs scaled by {right} instead of {stated}" in check_.text


def test_a_small_gain_of_another_scaling_is_told_and_no_obstacle() -> None:
    """Data whose spread has changed a little are better read with their own one, which does not condemn the scaling."""
    some = data(["u", "v", "w"], groups=60)
    old = scaler_of({name: {"mean": 0.0, "std": 1.15} for name in some.columns}, some.columns, some.rows)
    now = scaler_of("standard", some.columns, some.rows)
    plain = incumbent(lambda windows: answers(windows * now.scale + now.offset), some)
    found = check_mapping(replace(plain, scaler=old), some, RMSE, 0.05, False, 1.0)
    assert found.checks[2].status == "failed"
    assert 0.05 < found.checks[2].measured["gains"]["standard"] < 0.5
    assert found.status == "accepted"


def test_predictions_that_stand_in_the_rows_in_which_they_were_made_are_suspected() -> None:
    frame = linear(12)
    frame["late"] = frame.groupby("id")["y"].shift(-3)  # a perfect forecast, stored where it was made
    frame = frame[frame["late"].notna()]
    wrong = examples(frame, ["u"], ["y"], lookback=4, horizon=3, groups="id", given={"predictions": ["late"]})
    found = check(None, wrong)
    assert found.status == "suspect"
    assert "stand in the row of the target" in found.text
    right = examples(frame, ["u"], ["y"], lookback=4, horizon=3, groups="id", given={"predictions": ["old"]})
    assert check(None, right).checks[0].status == "passed"


def test_a_model_of_gatewise_is_checked_as_well() -> None:
    spec = gw.ModelSpec(inputs=3, layers=[gw.LayerSpec("dense", units=1)])
    model = gw.init(spec)
    weight = {name: np.zeros_like(value) for name, value in model.tensors.items()}
    (key,) = [name for name in weight if "weight" in name]
    weight[key][:] = [[1.0, 0.2, -0.5]]
    model = model.replace(tensors=weight)
    assert check(model, data(["u", "v", "w"])).status == "accepted"
    assert check(model, data(["w", "v", "u"])).status == "suspect"

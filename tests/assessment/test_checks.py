"""Drift, constraints and the split that chooses simple methods, on small cases with a known answer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from assessment.tables import answers, linear
from gatewise.assessment.costs import breaks, obstacle, seconds_of
from gatewise.assessment.drift import check_change, check_drift
from gatewise.assessment.findings import Candidate
from gatewise.assessment.health import check_health
from gatewise.assessment.setup import Setup, setup
from gatewise.assessment.training import taught
from gatewise.comparison.budget import Budget


def case(data: Any, unseen: Any = None, groups: str | None = "id", model: Any = answers, **more: Any) -> Setup:
    return setup(
        model=model, data=data, unseen=unseen, inputs=["u", "v", "w"], target="y", lookback=3, horizon=0, season=None,
        groups=groups, time=None, scaler="none", target_scaler=None, context=more.get("context"), spec=None,
        predictions=None, challengers=None, metric=None, latency=None, memory=None, min_gain=0.05, seed=0,
    )  # fmt: skip


def test_columns_that_leave_their_range_are_named_with_their_share() -> None:
    data, unseen = linear(12, seed=0), linear(12, seed=1)
    assert check_drift(case(data, unseen)).status == "passed"
    shifted = unseen.copy()
    shifted.loc[shifted["id"].isin(["g0", "g1", "g2"]), "v"] = 99.0
    found = check_drift(case(data, shifted))
    assert (found.code, found.status) == ("GW005", "failed")
    assert found.measured["outside"]["v"] == pytest.approx(0.25, abs=0.005)
    assert "v in 25 % of the rows" in found.text
    assert "u in" not in found.text


def test_drift_is_seen_in_later_rows_of_the_same_table() -> None:
    series = linear(1, 800).drop(columns="id")
    assert check_drift(case(series, groups=None)).status == "passed"
    series.loc[610:, "u"] += 20
    found = check_drift(case(series, groups=None))
    assert found.status == "failed"
    assert found.measured["outside"]["u"] > 0.9


def test_gaps_in_rows_that_no_window_reads_do_not_matter() -> None:
    data, unseen = linear(12, seed=0), linear(12, seed=1)
    first = data.groupby("id").cumcount() == 0
    data.loc[first, "u"] = np.nan
    data.loc[data.groupby("id").cumcount() < 4, "y"] = np.nan
    unseen.loc[unseen["id"] < "g3", "u"] = 99.0
    assert check_drift(case(data, unseen)).status == "failed"


def test_a_model_that_is_worse_on_the_judging_rows_is_told() -> None:
    same = case(linear(12, seed=0), linear(12, seed=1))
    assert check_change(same, 0.32).status == "passed"
    found = check_change(same, 0.6)
    assert found.status == "failed"
    assert found.measured["data"] == pytest.approx(0.3, rel=0.1)
    assert "pass data that are as recent as the judging rows" in found.text
    constant = found.measured["constant"]
    assert constant == pytest.approx(same.judge.targets.std(), rel=0.02)


def test_gaps_behind_the_last_answer_do_not_stop_the_measurements() -> None:
    """A model that carries its state is measured on the rows that it reads, in each series up to its last answer."""
    data = linear(12)
    last = data.groupby("id").cumcount(ascending=False) == 0
    data.loc[last, ["u", "y"]] = np.nan
    model = gw.init(gw.ModelSpec(inputs=3, layers=[gw.LayerSpec("gru", units=2), gw.LayerSpec("dense", units=1)]), 0)
    found = check_health(case(data, linear(12, seed=1), model=model, context="series"), Budget(60.0))
    assert [each.status for each in found if each.status in ("not run", "not applicable")] == []


def test_what_breaks_a_constraint() -> None:
    model = Candidate("legacy", "incumbent", 1.0, bytes=1000, state_bytes=24, step_seconds=2e-3)
    assert breaks(model, None, None) == breaks(model, 2e-3, 1024) == ""
    assert breaks(model, 1e-3, None) == (
        "One answer of legacy takes 2 ms on this machine, more than the 1 ms that are allowed."
    )
    assert breaks(model, None, 1023) == (
        "The parameters and one session of legacy take 1 KiB, more than the 1,023 bytes that are allowed."
    )
    unknown = replace(model, bytes=None, step_seconds=None)
    assert breaks(unknown, 1e-9, 1) == "", "what is not known breaks nothing"
    assert obstacle(unknown, None, None) == obstacle(model, 2e-3, 1024) == ""
    assert obstacle(model, 1e-3, None) == breaks(model, 1e-3, None)
    for limits in ((1.0, None), (None, 1 << 30)):
        assert "is not known, so it is not shown to meet the constraint" in obstacle(unknown, *limits)


def test_the_time_of_an_answer_is_a_median() -> None:
    calls: list[int] = []
    assert seconds_of(lambda: calls.append(1)) > 0
    assert len(calls) == 16, "15 that are timed, and one before them"


def test_a_smaller_model_is_taught_by_the_model() -> None:
    found = case(linear(12), linear(12, seed=1))
    np.testing.assert_allclose(taught(found).targets[:, 0], answers(found.data.windows()), rtol=1e-6)
    assert (found.data.targets - taught(found).targets).std() == pytest.approx(0.3, rel=0.2), "without the noise"

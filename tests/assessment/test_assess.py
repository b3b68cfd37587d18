"""The whole way from a model and a table to a verdict, its JSON and its page, on small tables with a known truth."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from assessment.tables import answers, linear
from gatewise.assessment import training
from gatewise.assessment.result import Assessment
from gatewise.errors import InputError

EVIL = "<script>alert(1)</script>"
KEYS = {"verdict", "confidence", "reasons", "findings", "candidates", "model", "data", "budget"}


class Tags(HTMLParser):
    """Counts the elements of a page, and collects what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        named = dict(attrs)
        self.loads += [str(named[key]) for key in ("src", "href", "xlink:href", "action", "data") if key in named]


def check_page(text: str) -> Tags:
    """One page under 2 MB, which loads nothing and shows no path of this machine."""
    tags = Tags(text)
    assert tags.counts["html"] == tags.counts["body"] == 1
    assert len(text.encode()) < 2 << 20
    assert [each for each in tags.loads if not each.startswith(("#", "data:"))] == []
    assert not re.search(r"url\(\s*['\"]?(?!#|data:)", text)
    assert "@import" not in text
    for path in (Path.home(), Path.cwd(), "/tmp/"):
        assert str(path) not in text
    assert not re.search(r"\b(nan|inf) %", text)
    return tags


def check_dict(result: Assessment) -> dict[str, Any]:
    """The result as JSON without NaN, which says the same as the result."""
    found: dict[str, Any] = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert set(found) >= KEYS
    assert found["verdict"] == result.verdict.kind
    assert found["candidates"][0]["question"] == "incumbent"
    codes = [each["code"] for each in found["findings"]]
    assert codes == sorted(set(codes))
    assert {each["status"] for each in found["findings"]} <= {"passed", "failed", "not applicable", "not run"}
    return found


@pytest.fixture(scope="module")
def outdated() -> Assessment:
    """Predictions that are worse than they could be, against a challenger's; each name is an attack on the page."""
    name = EVIL.replace("1", "{}")
    data, unseen = linear(14, 30, 1, name=name), linear(14, 30, 2, name=name)
    for k, table in enumerate((data, unseen)):
        rng = np.random.default_rng(k)
        table["old"] += 0.3 * rng.normal(size=len(table))
        table["<b>new"] = table["y"] + 0.1 * rng.normal(size=len(table))
    mapping = {"id": "<i>id", "u": f"u{EVIL}", "y": f"y$_{{{EVIL}", "old": "old"}
    data, unseen = data.rename(columns=mapping), unseen.rename(columns=mapping)
    return gw.assess(
        None, data, unseen=unseen, target=mapping["y"], groups="<i>id", lookback=3, budget=5,
        predictions={f"$legacy_{{{EVIL}": "old"}, challengers={f"chronos{EVIL}": "<b>new"},
    )  # fmt: skip


def test_outdated_predictions_are_replaced(outdated: Assessment) -> None:
    """y is linear: a ridge regression reaches its noise, the predictions have twice that variance, and chronos less."""
    found = check_dict(outdated)
    assert (found["verdict"], found["challenger"]) == ("replace", f"chronos{EVIL}")
    assert found["confidence"] > 0.99
    metric = {each["name"]: each["metric"] for each in found["candidates"]}
    old = found["candidates"][0]
    assert metric[f"chronos{EVIL}"] == pytest.approx(0.1, rel=0.1), "the challenger's column is compared as well"
    assert old["metric"] == pytest.approx(0.3 * 2**0.5, rel=0.1)
    (ridge,) = [name for name in metric if "ridge" in name]
    assert metric[ridge] == pytest.approx(0.3, rel=0.1)
    (asked,) = [each for each in found["questions"] if each["name"] == "baseline"]
    assert asked["gain"] == pytest.approx(1 - metric[ridge] / old["metric"], rel=1e-9)
    assert asked["gain"] == pytest.approx(1 - 0.5**0.5, abs=0.1)
    assert 0.05 < asked["low"] < asked["gain"] < asked["high"] < 0.5
    assert found["unanswered"] == {"recurrence": "the budget was too small"}
    assert found["model"]["inputs"] == [f"u{EVIL}", "v", "w"]
    with pytest.raises(InputError, match="there is no model to save: chronos.* is known by its answers alone"):
        outdated.save("none.safetensors")


def test_the_page_escapes_all_names(outdated: Assessment) -> None:
    page = outdated.html()
    tags = check_page(page)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<b>new" not in page
    assert "<i>id" not in page
    for script in re.findall(r"<script[^>]*>(.*?)</script>", page, re.S):
        assert "alert" not in script
    assert tags.counts.get("script", 0) == page.count("<script")


def test_good_predictions_are_not_replaced_and_not_kept_without_a_trained_challenger() -> None:
    data, unseen = linear(12, 30, 3), linear(12, 30, 4)
    found = gw.assess(
        None, data.assign(old=data["y"] + 0.01), unseen=unseen.assign(old=unseen["y"] + 0.01), inputs=["u", "v", "w"],
        target="y", groups="id", lookback=3, budget=0.5, predictions="old",
    )  # fmt: skip
    assert found.verdict.kind == "insufficient"
    assert set(found.findings.unanswered) == {"recurrence"}
    assert "budget" in found.verdict.flip
    check_dict(found)


def test_the_best_function_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not by a challenger that is trained for a second, which can win although it has not converged."""
    monkeypatch.setattr(training, "LEAST_SECONDS", 0.3)
    monkeypatch.setattr(training, "SPEED", 1e15)
    steps: list[float] = []
    found = gw.assess(
        answers, linear(14, 40, 5), unseen=linear(14, 40, 6), inputs=["u", "v", "w"], target="y", groups="id",
        lookback=3, scaler="none", budget=6, progress=lambda what, used: steps.append(used),
    )  # fmt: skip
    assert found.verdict.kind in ("keep", "insufficient")
    assert found.findings.candidates[0].metric == pytest.approx(0.3, rel=0.1)
    asked = {each.name for each in found.findings.questions} | set(found.findings.unanswered)
    assert asked == {"baseline", "recurrence"}
    assert steps == sorted(steps)
    assert {check.code: check.status for check in found.findings.checks}["GW001"] == "passed"
    check_dict(found)
    page = check_page(found.html())
    assert page.counts["svg"] >= 2


def test_exchanged_columns_are_not_judged() -> None:
    found = gw.assess(
        answers, linear(12), unseen=linear(12, seed=1), inputs=["w", "v", "u"], target="y", groups="id", lookback=3,
        scaler="none", budget=2,
    )  # fmt: skip
    assert found.verdict.kind == "insufficient"
    assert found.verdict.reasons[0].text.startswith("Mapping suspect")
    assert len(found.findings.candidates) == 1, "nothing is fitted for a model that is not judged"
    check_dict(found)
    check_page(found.html())


@pytest.mark.parametrize("unseen", [linear(1, 60, 1), None], ids=["one group", "one short series"])
def test_too_little_to_judge_is_insufficient_and_has_no_nan(unseen: Any) -> None:
    """One group of unseen data; or one short series, which is divided."""
    data, groups = (linear(12), "id") if unseen is not None else (linear(1, 40).drop(columns="id"), None)
    found = gw.assess(
        answers, data, unseen=unseen, inputs=["u", "v", "w"], target="y", groups=groups, lookback=3, scaler="none",
        budget=0.2,
    )  # fmt: skip
    assert found.verdict.kind == "insufficient"
    assert found.verdict.reasons[0].of == "GW004"
    check_dict(found)
    check_page(found.html())


def test_a_budget_too_small_for_anything_is_insufficient() -> None:
    found = gw.assess(
        answers, linear(12), unseen=linear(12, seed=1), inputs=["u", "v", "w"], target="y", groups="id", lookback=3,
        scaler="none", budget=0.001,
    )  # fmt: skip
    assert found.verdict.kind == "insufficient"
    check_dict(found)


def test_a_gap_that_no_window_reads_does_not_end_an_assessment() -> None:
    """The model cannot carry its state over the gap, so this one question is not asked."""
    tables = [linear(12, 30, seed) for seed in (0, 1)]
    for table in tables:
        row = table.groupby("id").cumcount()
        table.loc[row < 2, "u"] = np.nan
        table.loc[row < 5, "y"] = np.nan
    spec = gw.ModelSpec(inputs=3, layers=[gw.LayerSpec("gru", units=2), gw.LayerSpec("dense", units=1)])
    found = gw.assess(
        gw.init(spec, 0), tables[0], unseen=tables[1], inputs=["u", "v", "w"], target="y", groups="id", lookback=3,
        budget=1, mapping_confirmed=True,
    )  # fmt: skip
    check = found.findings.check("GW107")
    assert check is not None
    assert check.status == "not applicable"
    assert "step 0 of row 0 is nan" in check.text
    assert "baseline" in {each.name for each in found.findings.questions}
    check_dict(found)


def test_what_is_not_known_of_a_challenger_does_not_meet_a_constraint(outdated: Assessment) -> None:
    """The better column wins without a constraint, and cannot win with one, because nobody knows what it costs."""
    stated = {**outdated.stated, "latency": 10.0}
    found = gw.assess(**stated, budget=2)
    assert found.verdict.kind != "replace"
    (asked,) = [each for each in found.findings.questions if each.name == "replace"]
    assert "is not known" in asked.obstacle
    check = found.findings.check("GW006")
    assert check is not None
    assert (check.status, "is not known" in check.text) == ("not applicable", True)


def test_a_function_is_timed() -> None:
    found = gw.assess(
        answers, linear(12), unseen=linear(12, seed=1), inputs=["u", "v", "w"], target="y", groups="id", lookback=3,
        scaler="none", budget=0.01, latency=1e-9,
    )  # fmt: skip
    assert found.findings.broken.startswith("One answer of answers takes")


def test_columns_are_checked_on_the_unseen_rows_if_the_data_have_few_groups() -> None:
    found = gw.assess(
        answers, linear(6), unseen=linear(20, seed=1), inputs=["w", "v", "u"], target="y", groups="id", lookback=3,
        scaler="none", budget=2,
    )  # fmt: skip
    assert found.verdict.reasons[0].text.startswith("Mapping suspect")


@pytest.mark.parametrize(
    ("target", "old", "horizon", "metric"),
    [(["y"], ["old"], 0, "mae"), (["y"], ["old"], 2, None), (["y", "z"], ["old", "old2"], 0, None)],
)
def test_the_text_for_a_refit_fits_the_method_that_won(
    target: list[str], old: list[str], horizon: int, metric: str | None
) -> None:
    """Executed on the data, it gives the answers of the candidate on the unseen rows."""
    tables = [linear(14, 30, seed) for seed in (1, 2)]
    for table in tables:
        if horizon:
            for name in ("y", "old"):
                table[name] = table.groupby("id")[name].shift(horizon)
        table["z"], noise = 2 * table["y"], np.random.default_rng(0).normal(size=len(table))
        table["old"] += noise
        table["old2"] = 2 * table["old"]
    data, unseen = tables
    found = gw.assess(
        None, data, unseen=unseen, inputs=["u", "v", "w"], target=target, predictions={"old": old}, groups="id",
        lookback=3, horizon=horizon, metric=metric, budget=5,
    )  # fmt: skip
    assert found.verdict.challenger == "a ridge regression on the window"
    names: dict[str, Any] = {"data": data.copy()}
    exec(found.refit, names)
    models = names.get("models") or {target[0]: names["model"]}
    judge = found.case.judge
    for k, model in enumerate(models.values()):
        predicted = model.predict(unseen)["prediction"].to_numpy()
        rows = judge.order - horizon  # the rows of the windows, of which there is one series after the other
        np.testing.assert_allclose(predicted[rows], found.answers[found.verdict.challenger][:, k], rtol=1e-5, atol=1e-5)

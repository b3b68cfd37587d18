"""gatewise predict on regressors and classifiers: the rows are those of the Python twins."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

import gatewise as gw
from cli.predicting import column, read, run
from cli.program import gatewise


def table() -> pd.DataFrame:
    """Ten series of 12 rows with a number, and a class for each series."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"run": np.repeat([f"r{i}" for i in range(10)], 12), "u": rng.normal(size=120)})
    return frame.assign(y=2 * frame["u"] + rng.normal(0, 0.1, 120), kind=np.repeat(["good", "bad"], 60))


def test_a_regressor_answers_each_row(tmp_path: Path) -> None:
    task = gw.Regressor(units=2, steps=5, target="y", columns=["u"], series="run", coverage=0.5).fit(table())
    task.save(tmp_path / "m")
    table().drop(columns=["y", "kind"]).to_csv(tmp_path / "new.csv", index=False)
    found = read(run(tmp_path / "m", tmp_path / "new.csv"))
    wanted = task.predict(table())
    assert list(found[0]) == ["run", "prediction", "low", "high"]
    np.testing.assert_allclose(column(found, "high"), wanted["high"], rtol=1e-6)


def test_a_classifier_answers_each_series(tmp_path: Path) -> None:
    options = {"target": "kind", "columns": ["u"], "series": "run", "answer": "sequence"}
    task = gw.Classifier(units=2, steps=5, **options).fit(table())  # type: ignore[arg-type]
    task.save(tmp_path / "m")
    table().to_csv(tmp_path / "new.csv", index=False)
    found = read(run(tmp_path / "m", tmp_path / "new.csv"))
    wanted = task.predict(table())
    assert [list(row.values())[:2] for row in found] == wanted[["run", "prediction"]].to_numpy().tolist()
    np.testing.assert_allclose(column(found, "good"), wanted["good"], rtol=1e-6)


def test_training_gives_the_models_of_the_python_twins(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "d.csv", index=False)
    common = ["--columns", "u", "--series", "run", "--units", "2", "--steps", "5", "-q"]
    for task, options, twin in (
        (
            "regress",
            ["--target", "y", "--coverage", "0.5", "--loss", "absolute", "--context", "4"],
            gw.Regressor(target="y", coverage=0.5, loss="absolute", context={"window": 4}),
        ),
        ("classify", ["--target", "kind", "--answer", "sequence"], gw.Classifier(target="kind", answer="sequence")),
    ):
        place = str(tmp_path / task)
        given = ["train", str(tmp_path / "d.csv"), "--task", task, *options, *common, "-o", place]
        told = gatewise(*given, "--json")
        wanted = twin.set_params(columns=["u"], series="run", units=2, steps=5).fit(table())
        found = gw.load_task(place)
        assert found.get_params() == wanted.get_params()
        for name, value in wanted.model_.tensors.items():
            np.testing.assert_array_equal(found.model_.tensors[name], value, err_msg=name)
        assert json.loads(told.stdout)["task"] == task
        page = gatewise(*given).stdout
        assert "predicts" in page
        assert f"gatewise predict {place} new.csv" in page


def test_options_of_other_tasks_are_refused(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "d.csv", index=False)
    given = ["train", str(tmp_path / "d.csv"), "--task", "classify", "--target", "kind", "-o", str(tmp_path / "m")]
    for option, message in (
        (["--coverage", "0.5"], "--coverage is for --task detect or regress, not for --task classify"),
        (["--horizons", "3"], "--horizons is for --task forecast, not for --task classify"),
    ):
        ran = gatewise(*given, *option)
        assert ran.returncode == 2
        assert message in ran.stderr

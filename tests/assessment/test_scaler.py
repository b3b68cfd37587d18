"""Scalers equal scikit-learn's, and files of scalings are data: read strictly, never run."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from gatewise.assessment.scaler import MOST_BYTES, scaler_of
from gatewise.errors import InputError

COLUMNS = ["a", "b", "c"]
VALUES = np.random.default_rng(0).normal([0, 50, -3], [1, 20, 0.01], (200, 3))
VALUES[:, 2] = -3.0  # a column that is constant


@pytest.mark.parametrize(("name", "other"), [("minmax", MinMaxScaler()), ("standard", StandardScaler())])
def test_scalers_equal_scikit_learn(name: str, other: Any) -> None:
    other.fit(VALUES)
    found = scaler_of(name, COLUMNS, VALUES)
    new = np.random.default_rng(1).normal([0, 50, -3], [1, 20, 1], (40, 3))
    np.testing.assert_allclose(found.scaled(new), other.transform(new), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.unscaled(other.transform(new)), new, rtol=1e-12, atol=1e-12)
    assert found.scaled(new).dtype == np.float32


@pytest.mark.parametrize("name", ["minmax", "standard"])
def test_missing_readings_are_left_out(name: str) -> None:
    holes = VALUES.copy()
    holes[3, 0] = np.nan
    found, rest = scaler_of(name, COLUMNS, holes), np.delete(VALUES[:, 0], 3)
    ends = (rest.min(), np.ptp(rest)) if name == "minmax" else (rest.mean(), rest.std())
    assert (found.offset[0], found.scale[0]) == pytest.approx(ends)


def test_none_changes_nothing() -> None:
    for given in (None, "none"):
        np.testing.assert_array_equal(scaler_of(given, COLUMNS, VALUES).scaled(VALUES), VALUES.astype(np.float32))


CSV = "name,min,max\nc,-4,-2\na,0,10\nunused,1,2\nb,5,5\n"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_file_of_min_and_max_in_any_order(tmp_path: Path, mark: str) -> None:
    (tmp_path / "scaling.csv").write_text(mark + CSV)
    found = scaler_of(tmp_path / "scaling.csv", COLUMNS, VALUES)
    assert found.name == "scaling.csv"
    np.testing.assert_allclose(found.scaled(np.array([5.0, 6.0, -3.0])), [0.5, 1.0, 0.5])


def test_json_files_and_mappings_of_mean_and_std(tmp_path: Path) -> None:
    stated = {"a": {"mean": 1, "std": 2}, "b": {"mean": 0.5, "std": 0}, "c": {"min": -1, "max": 1}}
    (tmp_path / "scaling.json").write_text(json.dumps(stated))
    for given in (str(tmp_path / "scaling.json"), stated):
        found = scaler_of(given, COLUMNS, VALUES)
        np.testing.assert_allclose(found.scaled(np.array([5.0, 1.5, 0.0])), [2.0, 1.0, 0.5])


class Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, ("trapped",)


def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "scaler.pkl").write_bytes(pickle.dumps(Trap(), protocol))
        with pytest.raises(InputError):
            scaler_of(tmp_path / "scaler.pkl", COLUMNS, VALUES)
    assert not (tmp_path / "trapped").exists()
    (tmp_path / "scaler.pkl").write_bytes(pickle.dumps(StandardScaler().fit(VALUES)))
    with pytest.raises(InputError, match="pickled scaler is not read"):
        scaler_of(tmp_path / "scaler.pkl", COLUMNS, VALUES)


HOSTILE = {
    "nothing": ("", "columns name, min, max"),
    "another table": ("x,y\n1,2\n", "columns name, min, max"),
    "no numbers": ("name,min,max\n", "columns name, min, max"),
    "a missing column": ("name,min,max\na,0,1\nb,0,1\n", "no scaling for column 'c'"),
    "NaN": ("name,min,max\na,nan,1\nb,0,1\nc,0,1\n", "column 'a' needs finite numbers"),
    "infinity": ("name,mean,std\na,0,1\nb,0,inf\nc,0,1\n", "column 'b' needs finite numbers"),
    "min above max": ("name,min,max\na,0,1\nb,2,1\nc,0,1\n", "column 'b' needs finite numbers"),
    "a negative std": ("name,mean,std\na,0,1\nb,2,-1\nc,0,1\n", "column 'b' needs finite numbers"),
    "text": ("name,min,max\na,0,1\nb,zero,1\nc,0,1\n", "column 'b' needs finite numbers"),
    "a hole": ("name,min,max\na,0,1\nb,,1\nc,0,1\n", "column 'b' needs finite numbers"),
    "a short line": ("name,min,max\na,0,1\nb\nc,0,1\n", "column 'b' needs finite numbers"),
    "a column twice": ("name,min,max\na,0,1\na,0,2\nb,0,1\nc,0,1\n", "'a' .*twice"),
    "a key twice": ('{"a": {"min": 0, "max": 1}, "a": {"min": 0, "max": 2}}', "a"),
    "JSON of numbers": ('{"a": 1, "b": 2, "c": 3}', "no scaling for column 'a'"),
    "broken JSON": ('{"a": {"min": 0', "scaling"),
    "JSON with NaN": ('{"a": {"min": NaN, "max": 1}}', "NaN|finite"),
    "deep JSON": ("{" + '"a": {' * 5000, "scaling"),
    "a truth value": (
        '{"a": {"min": false, "max": true}, "b": {"min": 0, "max": 1}, "c": {"min": 0, "max": 1}}',
        "column 'a' needs finite numbers",
    ),
    "a list": ("[1, 2, 3]", "columns name, min, max"),
    "a null character": ("name,min,max\na,0\x00,1\nb,0,1\nc,0,1\n", "column 'a'"),
    "a long field": (f"name,min,max\n{'x' * 200_000},0,1\n", "no file of scalings"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(tmp_path: Path, case: str) -> None:
    text, told = HOSTILE[case]
    path = tmp_path / "scaling.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        scaler_of(path, COLUMNS, VALUES)


def test_huge_and_missing_files_and_other_things_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match="at most"):
        scaler_of(tmp_path / "huge.csv", COLUMNS, VALUES)
    for given in ("min-max", tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="no file"):
            scaler_of(given, COLUMNS, VALUES)
    for other in (3, [1, 2], StandardScaler()):
        with pytest.raises(InputError, match="must be"):
            scaler_of(other, COLUMNS, VALUES)

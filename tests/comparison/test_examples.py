"""Examples: windows, targets, groups and their errors, against loops by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.comparison import Examples, examples
from gatewise.comparison.challengers import frame_of
from gatewise.comparison.examples import BLOCKS
from gatewise.errors import InputError


def table(*lengths: int, seed: int = 0) -> pd.DataFrame:
    """Series of these lengths, their rows one after the other, with targets missing in a third of the rows."""
    rng = np.random.default_rng(seed)
    parts = [
        pd.DataFrame({"id": f"s{k}", "a": rng.normal(size=n), "b": rng.normal(size=n), "y": rng.normal(size=n)})
        for k, n in enumerate(lengths)
    ]
    whole = pd.concat(parts, ignore_index=True)
    whole.loc[rng.random(len(whole)) < 1 / 3, "y"] = np.nan
    whole["old"] = whole["y"] + 0.5
    return whole


def by_hand(frame: pd.DataFrame, lookback: int, horizon: int) -> list[tuple[str, Any, Any, int]]:
    """(series, window, target, row of the target in the frame) for each row that has them."""
    found = []
    for name in frame["id"].unique():
        own = frame[frame["id"] == name]
        for end in range(len(own)):
            of_target = end + horizon
            if end + 1 < lookback or of_target >= len(own) or np.isnan(own["y"].iloc[of_target]):
                continue
            window = own[["b", "a"]].iloc[end + 1 - lookback : end + 1].to_numpy(np.float32)
            found.append((name, window, own["y"].iloc[of_target], int(own.index[of_target])))
    return found


@pytest.mark.parametrize(("lookback", "horizon"), [(1, 0), (5, 0), (5, 3), (1, 7), (12, 1)])
@pytest.mark.parametrize("mixed", [False, True])
def test_windows_and_targets_equal_loops(lookback: int, horizon: int, mixed: bool) -> None:
    frame = table(30, 4, 13, 25)
    if mixed:  # the rows of the series in turn, each in its order
        frame = frame.assign(at=frame.groupby("id").cumcount()).sort_values(["at", "id"]).reset_index(drop=True)
    data = examples(frame, ["b", "a"], ["y"], lookback=lookback, horizon=horizon, groups="id", given={"old": ["old"]})
    wanted = by_hand(frame, lookback, horizon)
    assert len(data) == len(wanted) > 10
    windows = data.windows()
    for k, (name, window, target, row) in enumerate(wanted):
        np.testing.assert_array_equal(windows[k], window)
        assert data.targets[k, 0] == pytest.approx(target, rel=1e-6)
        assert data.given["old"][k, 0] == pytest.approx(target + 0.5, rel=1e-6)
        assert (data.names[data.groups[k]], data.order[k]) == (name, row)
    assert (data.columns, data.blocks, windows.dtype) == (("b", "a"), False, np.float32)


def test_rows_with_too_few_before_them_are_counted() -> None:
    frame = table(30, 4, 13)
    data = examples(frame, ["a"], ["y"], lookback=6, groups="id")
    at = frame.groupby("id").cumcount()
    assert data.left_out == int((frame["y"].notna() & (at < 5)).sum())
    assert len(data) + data.left_out == frame["y"].notna().sum()


def test_one_series_is_divided_into_blocks_that_are_longer_than_a_window_and_its_horizon() -> None:
    frame = table(1000).drop(columns="id")
    data = examples(frame, ["a"], ["y"], lookback=5, horizon=2)
    assert data.blocks
    assert len(np.unique(data.groups)) == BLOCKS
    first, last = int(data.ends.min()) - 4, int(data.ends.max()) + 2
    np.testing.assert_array_equal(data.groups, (data.ends - first) // -(-(last + 1 - first) // BLOCKS))
    short = examples(frame[:100], ["a"], ["y"], lookback=17, horizon=3)
    np.testing.assert_array_equal(short.groups, (short.ends - short.ends.min() + 16) // 20)
    begin = int(short.ends.min()) - 16
    assert short.names[1] == f"rows {begin + 20} to {begin + 39}"


def test_all_rows_up_to_the_example_without_a_lookback() -> None:
    data = examples(table(10, 10), ["a"], ["y"], lookback=None, groups="id")
    assert data.left_out == 0
    assert data.lookback is None


def test_a_choice_of_examples_keeps_what_belongs_to_them() -> None:
    data = examples(table(30, 20, 25), ["a", "b"], ["y"], lookback=4, groups="id", given={"old": ["old"]})
    chosen = data.of_groups(np.array([0, 2]))
    assert set(chosen.groups) == {0, 2}
    assert set(chosen.compact()) == {0, 1}
    which = np.flatnonzero(np.isin(data.groups, [0, 2]))
    np.testing.assert_array_equal(chosen.windows(), data.windows()[which])
    for name in ("targets", "ends", "order"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(data, name)[which])
    np.testing.assert_array_equal(chosen.given["old"], data.given["old"][which])
    assert [len(data.spread(most)) for most in (5, len(data), 10**6)] == [5, len(data), len(data)]
    np.testing.assert_array_equal(data.spread(2).ends, data.ends[[0, -1]])
    assert data.place(int(np.flatnonzero(data.groups == 1)[0])).endswith("of 's1'")


def make(frame: pd.DataFrame, **changed: Any) -> Examples:
    options: dict[str, Any] = {"lookback": 5, "groups": "id", "what": "the new data"}
    return examples(frame, ["a", "b"], ["y"], **{**options, **changed})


def test_a_missing_input_is_refused_where_a_window_reads_it_and_only_there() -> None:
    frame = table(30, 30)
    frame["y"] = np.nan
    frame.loc[[20, 45], "y"] = 1.0, 2.0
    for row in (16, 20, 41, 45):
        holes = frame.copy()
        holes.loc[row, "b"] = np.nan
        place = f"row {row % 30}.*s{row // 30}|s{row // 30}.*row {row % 30}|row {row}"
        with pytest.raises(InputError, match=rf"the new data: column 'b' .*({place})"):
            make(holes)
    for row in (15, 21, 40, 46):
        holes = frame.copy()
        holes.loc[row, "b"] = np.nan
        assert len(make(holes)) == 2


def test_a_missing_prediction_is_refused() -> None:
    frame = table(30, 30)
    frame["old"] = frame["old"].fillna(0)
    row = int(frame.index[frame["y"].notna()][-1])
    frame.loc[row, "old"] = np.inf
    with pytest.raises(InputError, match="column 'old', the predictions of 'legacy', has no finite value"):
        make(frame, given={"legacy": ["old"]})


def test_what_cannot_be_read_is_told() -> None:
    with pytest.raises(InputError, match=r"a window has 40 rows.*the longest series has 30.*lookback"):
        make(table(30, 20), lookback=40)
    with pytest.raises(InputError, match="its target comes 28 later"):
        make(table(30, 20), horizon=28)
    with pytest.raises(InputError, match="no row with a value in 'y'"):
        make(table(30).assign(y=np.nan))
    with pytest.raises(InputError, match="b"):
        make(table(30).drop(columns="b"))
    with pytest.raises(InputError, match="b"):
        make(table(30).assign(b="high"))
    with pytest.raises(InputError, match="machine"):
        make(table(30), groups="machine")


@pytest.mark.parametrize("lookback", [1, 5, None])
def test_the_rows_that_windows_read(lookback: int | None) -> None:
    data = examples(table(30, 4, 13, 25), ["a"], ["y"], lookback=lookback, groups="id")
    read = set()
    for end in data.ends.tolist():
        start = next(start for _, start, stop in data.series if start <= end < stop)
        read |= set(range(start if lookback is None else end - lookback + 1, end + 1))
    assert set(np.flatnonzero(data.read).tolist()) == read


def test_parts_do_not_overlap() -> None:
    data = examples(table(*[30] * 12), ["a", "b"], ["y"], lookback=5, horizon=2, groups="id")
    rest, held = data.parted(0.25, 2, 0)
    assert len(set(held.groups)) == 3
    assert not set(rest.groups) & set(held.groups)
    assert len(rest) + len(held) == len(data), "groups are independent, so nothing is left out"
    assert set(data.parted(0.25, 2, 1)[1].groups) != set(held.groups)
    series = examples(table(800).drop(columns="id"), ["a", "b"], ["y"], lookback=5, horizon=2)
    one = data.of_groups(data.groups[:1])
    for whole in (series, one):
        rest, held = whole.parted(0.2, 2, 0)
        assert int((rest.ends + 2).max()) < int((held.ends - 5 + 1).min()), "the held-out rows are the last"
        assert len(rest) >= 0.5 * len(whole)
        assert len(held) == pytest.approx(0.2 * len(whole), abs=0.05 * len(whole) + 1)


def test_constant_columns_are_those_of_the_rows_that_are_read() -> None:
    """A gap, or another reading, in rows that no window reads changes nothing."""
    frame = table(20, 20)
    early = frame.groupby("id").cumcount() < 4
    frame.loc[frame.groupby("id").cumcount() < 8, "y"] = np.nan
    frame["a"] = frame["a"].where(~early)
    frame["b"] = np.where(early, frame["b"], 1.0)
    data = examples(frame, ["a", "b"], ["y"], lookback=3, groups="id")
    assert data.varying.tolist() == [True, False]
    assert [name for name in frame_of(data).columns if name in "ab"] == ["a"]


def test_series_are_trained_on_in_the_parts_that_windows_read() -> None:
    frame = table(30, 30)
    frame["y"] = 1.0 * frame.index
    frame.loc[[10, 11], "a"] = np.nan
    frame.loc[10:15, "y"] = np.nan  # the windows that would read them
    data = examples(frame, ["a", "b"], ["y"], lookback=4, groups="id")
    found = frame_of(data)
    assert found[["a", "b"]].notna().all().all()
    assert found["id"].unique().tolist() == ["s0", "s0, part 2", "s1"]
    assert found.groupby("id", sort=False).size().tolist() == [10, 17, 30]
    assert sorted(found["y"].dropna()) == sorted(data.targets[:, 0])
    assert list(found.columns) == ["a", "b", "y", "id"], "the names are those of the data"

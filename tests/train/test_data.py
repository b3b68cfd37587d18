"""Lanes, segments, targets, masks and the held-out part, counted step by step."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from gatewise.errors import InputError
from gatewise.model import init
from gatewise.nn import to_torch
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.train.data import Concatenated, Data, prepare
from gatewise.train.sampling.carried import WARM_UP, held_out_batches, held_out_lanes, lanes_for, plan_epoch, segments

FORECASTER = ModelSpec(
    input=LayerSpec("numeric", width=2, scaling="standard", missing="hold"),
    layers=[LayerSpec("gru", units=3), LayerSpec("dense", units=2)],
    head=LayerSpec("tail_probability", targets=[1]),
)
PLAIN = ModelSpec(inputs=2, layers=[LayerSpec("dense", units=3)])


def numbered(*lengths: int) -> Concatenated:
    """Series in which the reading at each step is the number of the step."""
    steps = torch.arange(sum(lengths), dtype=torch.float32)
    return Concatenated(steps[:, None], steps, torch.ones_like(steps, dtype=torch.bool), lengths)


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=12),
    batch=st.integers(1, 16),
    bptt=st.integers(1, 64),
    seed=st.integers(0, 1000),
)
@example(lengths=[800], batch=16, bptt=8, seed=0)  # 15 pieces for 16 lanes
def test_an_epoch_visits_each_step_once(lengths: list[int], batch: int, bptt: int, seed: int) -> None:
    lanes = lanes_for(numbered(*lengths), batch, bptt)
    assert 1 <= lanes <= batch
    plan = plan_epoch(lengths, lanes, bptt, np.random.default_rng(seed))
    assert plan.start.shape == (len(plan), lanes)
    series = np.repeat(np.arange(len(lengths)), lengths)
    visits = np.zeros(sum(lengths), int)
    begins = {0, *np.cumsum(lengths).tolist()}
    cut = set()
    for lane in range(lanes):
        rows = list(zip(plan.start[:, lane], plan.length[:, lane], plan.fresh[:, lane], strict=True))
        rows = [row for row in rows if row[1]]
        assert all(length == 0 for length in plan.length[len(rows) :, lane])
        for i, (start, length, fresh) in enumerate(rows):
            assert 1 <= length <= bptt
            visits[start : start + length] += 1
            assert len(set(series[start : start + length])) == 1  # never over the end of a series
            if fresh and int(start) not in begins:
                cut.add(series[start])
            if not fresh:  # goes on where this lane was
                assert start == rows[i - 1][0] + rows[i - 1][1]
    assert (visits == 1).all()
    share = -(-sum(lengths) // lanes)
    assert all(lengths[i] > share for i in cut)  # what fits a lane stays whole


@pytest.mark.parametrize(("steps", "lanes"), [(4000, 16), (4001, 16), (999, 7), (130, 2), (20, 1)])
def test_one_series_fills_its_lanes_evenly(steps: int, lanes: int) -> None:
    assert lanes_for(numbered(steps), 16 if lanes == 16 else lanes, 64) == lanes
    first = plan_epoch([steps], lanes, 64, np.random.default_rng(0))
    fewest = math.ceil(math.ceil(steps / lanes) / 64)
    assert len(first) == fewest  # no lane makes the others wait
    if lanes > 1:
        starts = {tuple(plan_epoch([steps], lanes, 64, np.random.default_rng(i)).start[0]) for i in range(9)}
        assert len(starts) > 1  # lanes begin elsewhere in another epoch
    again = plan_epoch([steps], lanes, 64, np.random.default_rng(0))
    assert (again.start == first.start).all()


def test_a_batch_holds_what_the_plan_says() -> None:
    series = numbered(10, 5)
    full = segments(series, np.array([0, 11]), np.array([3, 3]))
    assert full.lengths is None
    assert full.x[:, :, 0].tolist() == [[0, 1, 2], [11, 12, 13]]
    ragged = segments(series, np.array([8, 15, 14]), np.array([2, 0, 1]))
    assert ragged.lengths is not None
    assert ragged.lengths.tolist() == [2, 0, 1]
    assert ragged.target[ragged.mask].tolist() == [8, 9, 14]


@given(
    ranges=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 400)), min_size=1, max_size=5),
    batch=st.integers(1, 8),
    bptt=st.integers(1, 20),
)
def test_validation_counts_each_held_out_step_once(ranges: list[tuple[int, int]], batch: int, bptt: int) -> None:
    series = numbered(*(before + held_out for before, held_out in ranges))
    parts, at = [], 0
    for before, held_out in ranges:
        parts.append((at, at + before, at + before + held_out))
        at += before + held_out
    data = Data(series, series, tuple(parts), "")
    lanes = held_out_lanes(data, batch, bptt)
    seen: list[float] = []
    last: dict[int, float] = {}
    for found, goes_on in held_out_batches(series, lanes, batch, 2 * bptt):
        seen += found.target[found.mask].tolist()
        for row in range(len(found.x)):
            steps = found.x.shape[1] if found.lengths is None else int(found.lengths[row])
            if not goes_on:
                last[row] = found.x[row, 0, 0].item() - 1
            if steps:  # each row goes on where it was
                assert found.x[row, :steps, 0].tolist() == list(np.arange(steps) + last[row] + 1)
                last[row] += steps
    assert sorted(seen) == [float(i) for _, start, end in parts for i in range(start, end)]
    for begin, start, _ in lanes:
        floor = next(first for first, a, b in parts if first <= start < b)
        assert begin == max(floor, start - WARM_UP * bptt)


def test_the_target_of_a_forecast_is_the_next_reading_where_there_is_one() -> None:
    module = to_torch(init(FORECASTER))
    x = np.arange(24.0).reshape(12, 2)
    x[4, 1] = np.nan
    x[7, 0] = np.nan  # another column: no matter
    data = prepare(module, x, None, 0.25)
    train = data.train
    assert train.lengths == (9,)
    seen = [i for i in range(8) if i != 3]  # not the gap, and not beyond the training part
    assert torch.nonzero(train.mask[:, 0]).flatten().tolist() == seen
    assert train.target[train.mask].tolist() == [x[i + 1, 1] for i in seen]
    assert data.held_out is not None
    assert data.ranges == ((0, 9, 12),)
    assert torch.nonzero(data.held_out.mask[:, 0]).flatten().tolist() == [*seen, 8, 9, 10]


def test_targets_may_have_gaps() -> None:
    module = to_torch(init(PLAIN))
    x = np.zeros((6, 2))
    train = prepare(module, [x], [np.array([[1, np.nan], [2, 3], [np.nan, np.nan], [4, 5], [6, 7], [8, 9]])], 0).train
    assert train.target.tolist() == [[1, 0], [2, 3], [0, 0], [4, 5], [6, 7], [8, 9]]
    assert train.mask.tolist() == [[True, False], [True, True], [False, False], *[[True, True]] * 3]
    whole = prepare(module, x, np.arange(6), 0).train
    assert whole.target.dtype == torch.int64
    assert whole.mask.shape == (6,)


def test_a_mask_says_which_targets_are_present() -> None:
    module = to_torch(init(PLAIN))
    x, labels = np.zeros((6, 2)), np.arange(6)
    present = np.array([True, False, True, True, False, True])
    one = prepare(module, x, labels, 0, present).train
    assert one.target.tolist() == [0, 0, 2, 3, 0, 5]
    assert one.target.dtype == torch.int64
    assert one.mask.tolist() == present.tolist()
    steps = prepare(module, [x], [np.ones((6, 2))], 0, [present]).train  # of a step, for each of its targets
    assert steps.mask.tolist() == np.stack([present, present], 1).tolist()
    both = np.stack([present, ~present], 1)
    each = prepare(module, x[None], np.where(both, 1.0, np.nan)[None], 0, both[None]).train
    assert each.mask.tolist() == both.tolist()
    assert each.target.tolist() == both.astype(float).tolist()
    nan = np.where(present, 1.0, np.nan)
    assert torch.equal(prepare(module, x, nan, 0).train.mask, prepare(module, x, nan, 0, present).train.mask)


def test_masks_are_cut_and_validated_like_their_targets() -> None:
    module = to_torch(init(PLAIN))
    x, labels = np.zeros((10, 2)), np.arange(10)
    present = np.arange(10) % 3 > 0
    shared = prepare(module, x, labels, 0.4, present)
    assert shared.held_out is not None
    assert shared.train.mask.tolist() == present[:6].tolist()
    assert shared.held_out.mask.tolist() == present.tolist()
    own = prepare(module, x, labels, (x, labels, ~present))
    assert own.held_out is not None
    assert own.held_out.mask.tolist() == (~present).tolist()
    assert own.train.mask.all()
    unmasked = prepare(module, [x], [labels], ([x, x], [labels, labels], None), [present])
    assert unmasked.held_out is not None
    assert unmasked.held_out.mask.all()


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_what_masked_arrays_hide_is_missing(dtype: type) -> None:
    x, y = np.arange(20).reshape(10, 2).astype(dtype), np.arange(30).reshape(10, 3).astype(dtype)
    hidden, gaps = np.ma.masked_equal(x, 3), np.ma.masked_equal(y, 7)
    for series in (hidden, hidden[None]):
        data = prepare(to_torch(init(FORECASTER)), series, gaps if series is hidden else [gaps], 0)
        np.testing.assert_array_equal(data.train.x, np.where(x == 3, np.nan, x))
        np.testing.assert_array_equal(data.train.mask, y != 7)
        np.testing.assert_array_equal(data.train.target, np.where(y == 7, 0, y))
        assert data.train.target.dtype == (torch.float32 if dtype is np.float64 else torch.int64)
    with pytest.raises(InputError, match="is nan at step 1, input 1"):
        prepare(to_torch(init(PLAIN)), hidden, y, 0)
    whole = prepare(to_torch(init(PLAIN)), np.ma.masked_array(x), np.ma.masked_array(y), 0)
    assert whole.train.target.dtype == (torch.float32 if dtype is np.float64 else torch.int64)


def test_another_series_has_another_fingerprint() -> None:
    module = to_torch(init(FORECASTER))
    x = np.random.default_rng(0).standard_normal((50, 2))
    prints = {
        prepare(module, series, None, share).fingerprint
        for series, share in ((x, 0.2), (x, 0.3), (x + 1, 0.2), (x[:-1], 0.2), ([x[:25], x[25:]], 0.2), (x, x))
    }
    assert len(prints) == 6
    labels = np.zeros(50, int)
    masks = (None, np.arange(50) > 3, np.arange(50) > 4)
    assert len({prepare(module, x, labels, 0.2, mask).fingerprint for mask in masks}) == 3
    assert prepare(module, x, None, 0.2).fingerprint == prepare(module, [x.copy()], None, 0.2).fingerprint


@pytest.mark.parametrize(
    ("spec", "series", "targets", "validation", "message"),
    [
        (
            PLAIN,
            [np.zeros((5, 2)), np.full((5, 2), np.nan)],
            [np.zeros(5)] * 2,
            0,
            "series 1 is nan at step 0, input 0",
        ),
        (PLAIN, np.zeros((5, 3)), np.zeros(5), 0, r"series 0: .* 2 inputs a step, got shape \(5, 3\)"),
        (PLAIN, [], [], 0, "no series"),
        (PLAIN, [np.zeros((0, 2))], [np.zeros(0)], 0, "series 0 has no steps"),
        (PLAIN, np.zeros((5, 2)), np.zeros(4), 0, "one row for each of 5 steps, got float64"),
        (PLAIN, np.zeros((5, 2)), [np.zeros(5)], 0, "one row for each of 5 steps"),
        (PLAIN, [np.zeros((5, 2))], [np.zeros(5)] * 2, 0, "1 series but 2 targets"),
        (PLAIN, [np.zeros((5, 2))] * 2, [np.zeros(5), np.zeros((5, 2))], 0, "same width and type"),
        (PLAIN, np.zeros((5, 2)), np.full(5, np.nan), 0, "training part has no step with a target"),
        (PLAIN, np.zeros((9, 2)), np.zeros(9), np.zeros((9, 2)), r"tuple \(series, targets\)"),
        (FORECASTER, np.zeros((5, 2)), None, 0.2, "5 steps, too few to hold out 0.2"),
        (FORECASTER, np.zeros((5, 2)), None, 1.0, "below 1"),
        (FORECASTER, np.zeros((1, 2)), None, 0, "training part has no step with a target"),
        (FORECASTER, np.zeros((9, 2)), None, np.zeros((1, 2)), "validation part has no step with a target"),
    ],
)
def test_data_that_do_not_fit_are_refused(spec, series, targets, validation, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        prepare(to_torch(init(spec)), series, targets, validation)


@pytest.mark.parametrize(
    ("targets", "mask", "message"),
    [
        (None, np.ones(5, bool), "so it needs targets; pass targets, or leave mask out"),
        (
            np.zeros(5),
            np.ones(5),
            r"mask of series 0 must be bool \(5,\), True where there is a target, got float64 \(5,\)",
        ),
        (np.zeros(5), np.ones((5, 1), bool), r"must be bool \(5,\), .* got bool \(5, 1\)"),
        (np.zeros((5, 3)), np.ones(4, bool), r"must be bool \(5,\) or \(5, 3\), .* got bool \(4,\)"),
        (np.zeros((5, 3)), np.ones((5, 2), bool), r"must be bool \(5,\) or \(5, 3\), .* got bool \(5, 2\)"),
        (
            np.array([0, 0, 0, np.nan, 0]),
            np.arange(5) > 1,
            "targets of series 0 are missing at step 3, where its mask is T",
        ),
        (np.ma.masked_equal(np.arange(5), 2), np.ones(5, bool), "missing at step 2, where its mask is True"),
        (np.zeros(5), np.zeros(5, bool), "training part has no step with a target"),
    ],
)
def test_masks_that_do_not_fit_are_refused(targets, mask, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        prepare(to_torch(init(PLAIN)), np.zeros((5, 2)), targets, 0, mask)


def test_the_number_of_masks_and_the_form_of_validation_are_checked() -> None:
    module = to_torch(init(PLAIN))
    x, y, present = np.zeros((5, 2)), np.zeros(5), np.ones(5, bool)
    with pytest.raises(InputError, match="there are 2 series but 1 masks; pass one for each"):
        prepare(module, [x, x], [y, y], 0, [present])
    with pytest.raises(InputError, match="mask of validation series 0 must be bool"):
        prepare(module, x, y, (x, y, y))
    with pytest.raises(InputError, match="there are 1 validation series but 2 masks"):
        prepare(module, x, y, ([x], [y], [present, present]))
    with pytest.raises(InputError, match="the validation series need targets"):
        prepare(module, x, y, (x, None))
    with pytest.raises(InputError, match=r"\(series, targets\) or \(series, targets, masks\)"):
        prepare(module, x, y, (x, y, present, present))
    with pytest.raises(InputError, match=r"the training has a mask, so the validation needs one as well"):
        prepare(module, x, y, (x, y), present)
    assert prepare(module, x, y, (x, y, None), present).held_out is not None

"""A window: each answer is made from the last L readings, in every execution, and the state is those readings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gatewise as gw
from gatewise.errors import StateError
from gatewise.graph import reference_run
from gatewise.nn import to_torch

WINDOW = 5
LAYERS = [gw.LayerSpec("gru", units=7), gw.LayerSpec("dense", units=2)]
CARRIED = gw.init(gw.ModelSpec(3, LAYERS), seed=1)
MODEL = CARRIED.replace(CARRIED.spec.replace(context={"window": WINDOW}))
HOLD = gw.LayerSpec("numeric", width=3, missing="hold")
X = np.random.default_rng(0).normal(size=(4, 30, 3)).astype(np.float32)


def by_hand(x: np.ndarray) -> np.ndarray:
    """The last answer of a run from zero over the last readings, for each step."""
    ends = range(1, len(x) + 1)
    return np.stack([CARRIED.run(x[max(0, end - WINDOW) : end])[-1] for end in ends])


def test_run_is_a_run_from_zero_over_each_window() -> None:
    assert np.array_equal(MODEL.run(X), np.stack([by_hand(x) for x in X]))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_any_chunks_give_the_same_bits(chunks: list[int]) -> None:
    stream, at = MODEL.stream(), 0
    wanted = MODEL.run(X[0])
    for chunk in chunks:
        part = X[0, at : at + chunk]
        answer = stream.push_many(part)
        assert np.array_equal(answer, wanted[at : at + len(part)])
        saved = stream.save()
        stream = MODEL.stream(saved)
        at += len(part)


def test_the_state_is_the_last_readings() -> None:
    stream = MODEL.stream()
    stream.push_many(X[0, :3])
    fields = stream.state.fields
    assert fields["window.count"].tolist() == [[3.0]]
    assert np.array_equal(fields["window.readings"][0], np.concatenate([np.zeros((2, 3)), X[0, :3]]))
    stream.push_many(X[0, 3:20])
    assert stream.state.fields["window.count"].tolist() == [[5.0]]
    assert np.array_equal(stream.state.fields["window.readings"][0], X[0, 15:20])


def test_a_missing_reading_is_held_from_before_the_window() -> None:
    model = gw.init(gw.ModelSpec(input=HOLD, layers=LAYERS, context={"window": 4}))
    x = 20.0 + X[0]
    x[7:, 1] = np.nan  # from step 10 on no window holds a reading of it
    x[12, 2] = np.inf
    filled = x.copy()
    filled[7:, 1], filled[12, 2] = x[6, 1], x[11, 2]
    assert np.array_equal(model.run(x), model.run(filled))
    assert np.array_equal(model.run(x)[20], model.run(filled[17:21])[-1])
    stream, torch_answer, truth = model.stream(), to_torch(model)(torch.tensor(x[None])), reference_run(
        model.graph, model.tensors, x[None])  # fmt: skip
    answers = np.stack([stream.push(row) for row in x])
    assert np.array_equal(answers, model.run(filled))
    assert np.array_equal(stream.state.fields["window.readings"][0], filled[-4:])
    for answer, after in (torch_answer, truth):
        assert np.asarray(answer.detach() if isinstance(answer, torch.Tensor) else answer)[0] == pytest.approx(
            answers, abs=1e-5
        )
        assert np.array_equal(after["window.readings"][0], filled[-4:])


def test_missing_readings_are_saved_with_the_rest() -> None:
    model = gw.init(gw.ModelSpec(input=HOLD, layers=LAYERS, context={"window": 4}))
    x = X[0].copy()
    x[::3, 1] = np.nan
    stream = model.stream()
    wanted = model.run(x)
    for t, row in enumerate(x):
        stream = model.stream(stream.save())
        assert np.array_equal(stream.push(row), wanted[t])


@pytest.mark.parametrize("count", [-1.0, 0.5, WINDOW + 1.0, np.nan])
def test_a_count_that_cannot_be_is_refused(count: float) -> None:
    fields = dict(MODEL.stream().state.fields)
    state = gw.State(MODEL.graph.structure, {**fields, "window.count": np.full((1, 1), count, np.float32)})
    with pytest.raises(StateError, match=r"window\.count"):
        MODEL.stream(state)


def test_a_carried_state_does_not_fit() -> None:
    with pytest.raises(StateError, match="another structure"):
        MODEL.stream(CARRIED.stream().save())


def test_every_execution_agrees() -> None:
    wanted, end = reference_run(MODEL.graph, MODEL.tensors, X)
    y, state = MODEL.run(X, return_state=True)
    assert np.abs(y - wanted).max() < 1e-6
    module = to_torch(MODEL)
    answer, after = module(torch.tensor(X))
    assert np.abs(answer.detach().numpy() - wanted).max() < 1e-6
    for name, value in end.items():
        assert np.array_equal(state.fields[name], value), name
        assert np.array_equal(after[name].numpy(), value), name


def test_torch_goes_on_from_a_state_and_stops_at_each_length() -> None:
    module = to_torch(MODEL).double()
    x, lengths = torch.tensor(X, dtype=torch.float64), torch.tensor([2, 9, 0, 11])
    padded = x[:, :11].clone()
    for row, length in enumerate(lengths):
        padded[row, length:] = torch.nan
    first, state = module(padded, None, lengths)
    whole, _ = module(x)
    for row, length in enumerate(lengths.tolist()):
        rest, _ = module(x[row : row + 1, length:], {name: value[row : row + 1] for name, value in state.items()})
        assert torch.allclose(torch.cat([first[row, :length], rest[0]]), whole[row], rtol=0, atol=1e-12)
        assert (first[row, length:] == 0).all()


def test_a_pool_of_windows() -> None:
    pool = MODEL.pool(4)
    wanted = MODEL.run(X)
    for t in range(12):
        ids = [i for i in range(4) if (t + i) % 3 or t > 8]
        at = [sum((s + i) % 3 > 0 or s > 8 for s in range(t)) for i in ids]
        answers = pool.push(ids, X[ids, at])
        assert np.array_equal(answers, wanted[ids, at])


def test_repr_shows_what_a_push_costs() -> None:
    gru, dense = 3 * 7 * (3 + 7), 7 * 2  # all that comes after the last memory runs once
    assert f" {WINDOW * gru + dense:,} MACs a step (a window of {WINDOW})" in repr(MODEL)
    assert MODEL.graph.push_macs == WINDOW * gru + dense
    assert CARRIED.graph.push_macs == CARRIED.graph.macs == gru + dense

"""Missing readings that a model is told of: the mask by hand, what streams of it, and what has no place beside it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gatewise as gw
from conformance.cases import tensors
from gatewise import _core
from gatewise.errors import InputError, SpecError
from gatewise.graph import reference_run, resolve
from gatewise.layers.base import Array
from gatewise.nn import to_torch

CPUS = _core.instruction_sets()
WIDTH = 5


def stage(width: int = WIDTH, missing: str = "mask", scaling: str = "none") -> gw.LayerSpec:
    return gw.LayerSpec("numeric", width=width, missing=missing, scaling=scaling)


def shows(width: int, cpu: str | None = None, scaling: str = "none") -> gw.Model:
    """A model that answers what its input stage writes."""
    spec = gw.ModelSpec(
        input=stage(width, scaling=scaling), layers=[gw.LayerSpec("concat", sources=("input", "input"))]
    )
    return gw.Model(spec, tensors(resolve(spec)), cpu=cpu)


def gapped(steps: int, width: int = WIDTH, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, (steps, width))
    x[:3, 0] = np.nan
    gone = rng.uniform(size=x.shape) < 0.4
    x[gone] = rng.choice([np.nan, np.inf, -np.inf], gone.sum())
    return x.astype(np.float32)


@pytest.mark.parametrize("cpu", CPUS)
def test_a_mask_is_forward_fill_and_then_where_it_filled(cpu: str) -> None:
    x = gapped(60)
    y = shows(WIDTH, cpu).run(x)[:, : 2 * WIDTH]
    frame = pd.DataFrame(x).replace([np.inf, -np.inf], np.nan)
    assert np.array_equal(y[:, :WIDTH], frame.ffill().fillna(0.0).to_numpy())
    assert np.array_equal(y[:, WIDTH:], frame.isna().to_numpy(np.float32))


@pytest.mark.parametrize("cpu", CPUS)
def test_with_scaling_what_is_held_is_scaled_and_the_mask_is_not(cpu: str) -> None:
    model, x = shows(WIDTH, cpu, "standard"), gapped(60, seed=1)
    offset, scale = (model.tensors[f"input.{name}"].astype(float) for name in ("offset", "scale"))
    held, wanted = np.zeros(WIDTH), []
    for row in x.astype(float):
        seen = np.isfinite(row)
        held[seen] = (row[seen] - offset[seen]) / scale[seen]
        wanted.append([*held, *(~seen).astype(float)])
    y, state = model.run(x, return_state=True)
    np.testing.assert_allclose(y[:, : 2 * WIDTH], wanted, rtol=1e-6, atol=1e-6)
    assert list(state.fields) == ["input.held"]
    assert np.array_equal(state.fields["input.held"][0], y[-1, :WIDTH])


def model_of(context: Any, normalise: bool) -> gw.Model:
    """A GRU over a mask, with a head that reads the held readings; each window in its own units or not."""
    own = [
        gw.LayerSpec("moments", masked=True),
        gw.LayerSpec("standardise", sources=("input", "moments0"), masked=True),
    ]
    head = gw.LayerSpec(
        "quantiles",
        sources=("dense0", "input", *(["moments0"] if normalise else [])),
        targets=[1],
        quantiles=[0.1, 0.9],
    )
    layers = [*(own if normalise else []), gw.LayerSpec("gru", units=5), gw.LayerSpec("dense", units=2)]
    spec = gw.ModelSpec(input=stage(2, scaling="standard"), layers=layers, head=head, context=context)
    return gw.Model(spec, tensors(resolve(spec)))


STREAMED = [model_of("carried", False), model_of({"window": 4}, False), model_of({"window": 4}, True)]
NUMBERS = st.floats(-3, 3, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])


@given(
    model=st.sampled_from(STREAMED),
    values=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=14),
    lengths=st.lists(st.integers(0, 5), max_size=8),
    way=st.sampled_from(["push", "push_many", "run"]),
)
def test_wherever_readings_are_missing_any_chunks_give_the_same_bits(
    model: gw.Model, values: list[tuple[float, float]], lengths: list[int], way: str
) -> None:
    x = np.array(values, np.float32).reshape(-1, 2)
    whole, end = model.run(x, return_state=True)
    assert np.isfinite(whole).all()
    stream, at = model.stream(), 0
    for length in [*lengths, len(x)]:
        part = x[at : at + length]
        if way == "push":
            answers = np.array([stream.push(row) for row in part], np.float32).reshape(-1, model.outputs)
        elif way == "push_many":
            answers = stream.push_many(part)
        else:
            answers, state = model.run(part, state=stream.state, return_state=True)
            stream.load(state)
        assert answers.tobytes() == whole[at : at + length].tobytes()
        stream = model.stream(stream.save())
        at += len(part)
    assert at == len(x)
    assert stream.save() == end.to_bytes()


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("missing", ["hold", "mask"])
@pytest.mark.parametrize("context", ["carried", {"window": 4}])
def test_what_scaling_takes_beyond_1e18_is_missing_in_every_execution(missing: str, context: Any, cpu: str) -> None:
    spec = STREAMED[0].spec
    spec = spec.replace(input=spec.input.replace(missing=missing), context=context)
    model = gw.Model(spec, tensors(resolve(spec)), cpu=cpu)
    offset, scale = (model.tensors[f"input.{name}"] for name in ("offset", "scale"))
    rng = np.random.default_rng(5)
    gap = gapped(30, 2, seed=5)
    beyond = np.where(rng.uniform(size=gap.shape) < 0.5, 3.4e38, offset + 1.001e18 * scale)
    far = np.where(np.isfinite(gap), gap, beyond * rng.choice([-1.0, 1.0], gap.shape)).astype(np.float32)
    within = np.where(np.isfinite(gap), gap, offset + 0.999e18 * scale).astype(np.float32)
    assert np.isfinite(far).all()

    wanted, end = model.run(gap, return_state=True)
    answers, state = model.run(far, return_state=True)
    assert answers.tobytes() == wanted.tobytes()
    assert np.isfinite(wanted).all()
    stream, pool = model.stream(), model.pool(1)
    assert np.array_equal([stream.push(row) for row in far], wanted)
    assert np.array_equal([pool.push([0], row[None])[0] for row in far], wanted)
    assert stream.save() == pool.save(0) == state.to_bytes()
    assert context != "carried" or state.to_bytes() == end.to_bytes()
    assert np.array_equal(*(reference_run(model.graph, model.tensors, x[None])[0] for x in (gap, far)))
    assert torch.equal(*(to_torch(model)(torch.tensor(x[None]))[0] for x in (gap, far)))
    assert not np.array_equal(model.run(within), wanted)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("scaling", ["none", "standard"])
@pytest.mark.parametrize("value", [3.4e38, -2e18, np.inf])
def test_without_a_policy_what_is_beyond_is_refused_and_no_state_changes(cpu: str, scaling: str, value: float) -> None:
    spec = gw.ModelSpec(
        input=stage(2, "raise", scaling).replace(columns=["flow", "load"]),
        layers=[gw.LayerSpec("gru", units=3)],
        context="carried",
    )
    model = gw.Model(spec, tensors(resolve(spec)), cpu=cpu)
    stream, pool = model.stream(), model.pool(2)
    good = np.array([0.5, 1e15], np.float32)
    assert np.isfinite(stream.push(good)).all()
    pool.push([1], good[None])
    bad = np.array([[0.5, 1.0], [0.5, value]], np.float32)
    words = rf"\('load'\) is {value:g}".replace("+", r"\+")
    for refused, where in (
        (lambda: stream.push(bad[1]), "push: value 1"),
        (lambda: stream.push_many(bad), "push_many: value 1 of step 1"),
        (lambda: pool.push([0, 1], bad), "push: value 1 of row 1"),
        (lambda: model.run(bad), "run: input 1 at step 1 of row 0"),
    ):
        with pytest.raises(InputError, match=f"^{where} {words}"):
            refused()
    with pytest.raises(InputError, match="row 0, step 1, input 1"):
        to_torch(model)(torch.tensor(bad[None]))
    assert stream.save() == pool.save(1) == model.run(good[None], return_state=True)[1].to_bytes()  # type: ignore[union-attr]


def test_a_reading_that_equals_the_one_held_is_still_a_reading() -> None:
    x = np.array([[1.0, 2.0], [0.5, 2.0]], np.float32)
    gap = x.copy()
    gap[1, 1] = np.nan
    told = STREAMED[0]
    assert not np.array_equal(told.run(x)[1], told.run(gap)[1])
    hold = told.spec.input.replace(missing="hold")
    spec = told.spec.replace(input=hold)
    silent = gw.Model(spec, tensors(resolve(spec)))
    assert np.array_equal(silent.run(x), silent.run(gap))


@pytest.mark.parametrize("width", [None, 1])
def test_moments_are_those_of_the_readings_that_came(width: int | None) -> None:
    x = gapped(40, 3, seed=2)
    x[:, 2] = np.nan  # a column without any
    layers = [
        gw.LayerSpec("moments", "m", width=width, masked=True),
        gw.LayerSpec("standardise", "s", ("input", "m"), masked=True),
        gw.LayerSpec("concat", sources=("m", "s")),
    ]
    spec = gw.ModelSpec(input=stage(3), layers=layers)
    model = gw.Model(spec, {})
    used = np.where(np.isfinite(x), x, np.nan)[:, :width].astype(float)
    kept = used[:, np.isfinite(used).any(0)]
    mean, deviation = np.zeros(used.shape[1]), np.ones(used.shape[1])
    mean[: kept.shape[1]], deviation[: kept.shape[1]] = np.nanmean(kept, 0), np.sqrt(np.nanvar(kept, 0) + 1e-5)
    assert kept.shape[1] == (width or 2)
    scaled = np.where(np.isnan(used), 0.0, (used - mean) / deviation)
    rest = pd.DataFrame(np.where(np.isfinite(x), x, np.nan)).ffill().fillna(0.0).to_numpy()[:, used.shape[1] :]
    wanted = np.concatenate([np.tile([*mean, *deviation], (40, 1)), scaled, rest, ~np.isfinite(x)], 1)
    np.testing.assert_allclose(model.run(x), wanted, rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(reference_run(model.graph, {}, x[None])[0][0], wanted, rtol=1e-9, atol=1e-12)
    answer, _ = to_torch(model)(torch.tensor(x[None]))
    np.testing.assert_allclose(answer[0].numpy(), wanted, rtol=1e-6, atol=2e-6)


def head(**options: Any) -> gw.LayerSpec:
    return gw.LayerSpec("quantiles", horizons=[1], quantiles=[0.5], **options)


@pytest.mark.parametrize(
    ("layers", "head", "words"),
    [
        ([], head(targets=[2]), "a target is column 2, but the input has 2 columns"),
        ([], head(targets=[3]), "a target is column 3, but the input has 2 columns"),
        (["moments"], None, "moments reads 2 columns and then indicators of missing readings; pass masked=True"),
        (["masked moments of 3"], None, "moments has width 3, but the input has 2 columns"),
        (["masked moments", "standardise"], None, "standardise reads 2 columns and then indicators"),
    ],
)
def test_an_indicator_is_no_column(layers: list[str], head: gw.LayerSpec | None, words: str) -> None:
    kinds = {
        "moments": gw.LayerSpec("moments", "m"),
        "masked moments": gw.LayerSpec("moments", "m", masked=True),
        "masked moments of 3": gw.LayerSpec("moments", "m", masked=True, width=3),
        "standardise": gw.LayerSpec("standardise", sources=("input", "m")),
    }
    made = [*(kinds[name] for name in layers), gw.LayerSpec("dense", units=1)]
    with pytest.raises(SpecError, match=words):
        gw.init(gw.ModelSpec(input=stage(2), layers=made, head=head, context={"window": 4}))


@pytest.mark.parametrize("missing", ["raise", "hold"])
@pytest.mark.parametrize("kind", ["moments", "standardise"])
def test_what_is_masked_needs_a_mask(kind: str, missing: str) -> None:
    masked = {"moments": kind == "moments", "standardise": kind == "standardise"}
    layers = [
        gw.LayerSpec("moments", "m", masked=masked["moments"]),
        gw.LayerSpec("standardise", sources=("input", "m"), masked=masked["standardise"]),
    ]
    with pytest.raises(SpecError, match=f'a masked {kind} needs an input stage with missing="mask"'):
        gw.init(gw.ModelSpec(input=stage(2, missing), layers=layers, context={"window": 4}))


def test_without_a_mask_a_missing_reading_is_still_refused() -> None:
    model = gw.init(gw.ModelSpec(input=stage(2, "raise"), layers=[gw.LayerSpec("gru", units=2)]))
    with pytest.raises(InputError, match="is nan"):
        model.run(np.array([[1.0, np.nan]]))

"""Bounds of forecasts, and logarithms on the way in and back: in every execution, against NumPy and numbers by hand."""

from typing import Any

import numpy as np
import pytest
import torch

import gatewise as gw
from gatewise import _core
from gatewise.errors import InputError, SpecError
from gatewise.graph import resolve
from gatewise.heads.quantiles.spec import Spec
from gatewise.inputs.numeric.spec import Spec as Numeric
from gatewise.layers.base import Array, Edge
from gatewise.nn import to_torch

CPUS = _core.instruction_sets()


def answering(targets: int = 1, cpu: str | None = None, **options: Any) -> gw.Model:
    """A model of one input whose forecast is that input, once for each of 3 quantiles and `targets` columns."""
    head = gw.LayerSpec("quantiles", anchor=False, horizons=[1], targets=list(range(targets)), **options)
    transform = options.get("transform")
    stage = gw.LayerSpec("numeric", width=targets, transform=transform)
    layers = [gw.LayerSpec("dense", None, "input", units=3 * targets)]
    model = gw.init(gw.ModelSpec(input=stage, layers=layers, head=head), cpu=cpu)
    weight = np.repeat(np.eye(targets, dtype=np.float32), 3, axis=0)
    given = {"dense0.weight": weight, "dense0.bias": np.zeros(3 * targets, np.float32)}
    return model.replace(tensors={**model.tensors, **given})


def everywhere(model: gw.Model, x: Array) -> list[Array]:
    """What each execution answers to rows x: the native core in a run and in a stream, and torch."""
    stream = model.stream()
    with torch.no_grad():
        module, _ = to_torch(model)(torch.from_numpy(x)[None])
    return [np.asarray(model.run(x)), np.stack([stream.push(row).copy() for row in x]), module[0].numpy()]


@pytest.mark.parametrize("cpu", CPUS)
def test_bounds_by_hand(cpu: str) -> None:
    model = answering(2, cpu, minimum=[0.0, None], maximum=[2.5, 1.0])
    x = np.array([[-3.0, -3.0], [1.0, 1.0], [9.0, 9.0]], np.float32)
    wanted = [[0, 0, 0, -3, -3, -3], [1] * 6, [2.5, 2.5, 2.5, 1, 1, 1]]
    for answers in everywhere(model, x):
        assert answers.tolist() == wanted


@pytest.mark.parametrize("cpu", CPUS)
def test_no_forecast_is_beyond_a_bound_that_is_no_float32(cpu: str) -> None:
    """float32(0.7) lies below 0.7, and float32(0.1) above 0.1."""
    assert float(np.float32(0.7)) < 0.7
    model = answering(1, cpu, minimum=[0.7], maximum=[1.1])
    for answers in everywhere(model, np.array([[-9.0], [9.0]], np.float32)):
        least, largest = answers[0, 0].astype(float), answers[1, 0].astype(float)
        assert 0.7 <= least < 0.7 + 1e-7
        assert 1.1 - 2e-7 < largest <= 1.1


LOGS: Array = np.concatenate(
    [
        np.array([0.0, -0.0, 1.0, -0.5, 1e-30, -1e-30, 1e-7, -1e-7, 3.4e38, -1 + 2.0**-24, 2.0**24, 2.0**-25]),
        np.expm1(np.linspace(-16, 88, 20011)),
        np.linspace(-0.9, 1.1, 5003),
        np.linspace(-1e-3, 1e-3, 1001),
    ]
).astype(np.float32)


def apart(got: Array, wanted: Array) -> float:
    """The greatest relative error."""
    return float(np.max(np.abs(got - wanted) / np.maximum(np.abs(wanted), 1e-37)))


@pytest.mark.parametrize("cpu", CPUS)
def test_the_logarithm_is_that_of_numpy(cpu: str) -> None:
    stage = gw.LayerSpec("numeric", width=1, transform=["log1p"])
    model = gw.init(gw.ModelSpec(input=stage, layers=[gw.LayerSpec("dense", units=1)]), cpu=cpu)
    model = model.replace(
        tensors={"dense0.weight": np.ones((1, 1), np.float32), "dense0.bias": np.zeros(1, np.float32)}
    )
    got = np.asarray(model.run(LOGS[:, None]))[:, 0].astype(float)
    assert apart(got, np.log1p(LOGS.astype(float))) < 4e-7


@pytest.mark.parametrize("cpu", CPUS)
def test_the_way_back_is_that_of_numpy(cpu: str) -> None:
    model = answering(1, cpu, transform=["log1p"])
    wanted = np.minimum(LOGS.astype(float), np.expm1(88))
    for answers in everywhere(model, LOGS[:, None]):
        np.testing.assert_allclose(
            answers[:, 1].astype(float), wanted, rtol=2e-5
        )  # the exponents have an error of 1e-7


@pytest.mark.parametrize("cpu", CPUS)
def test_quantiles_do_not_cross_on_the_way_back(cpu: str) -> None:
    """expm1 of neighbouring floats never falls, over the whole range."""
    v = np.sort(np.concatenate([np.random.default_rng(0).uniform(-20, 90, 30000), np.linspace(-0.01, 0.01, 20001)]))
    v = np.unique(v.astype(np.float32))
    v = np.unique(np.concatenate([v, np.nextafter(v, np.float32(np.inf))]))
    head = gw.LayerSpec("quantiles", anchor=False, quantiles=[0.5], transform=["log1p"])
    stage = gw.LayerSpec("numeric", width=2, transform=["log1p", None])
    model = gw.init(gw.ModelSpec(input=stage, layers=[gw.LayerSpec("dense", units=1)], head=head), cpu=cpu)
    given = {"dense0.weight": np.array([[0, 1]], np.float32), "dense0.bias": np.zeros(1, np.float32)}
    model = model.replace(tensors={**model.tensors, **given})
    got = np.asarray(model.run(np.stack([np.zeros_like(v), v], axis=1)))[:, 0]
    assert (np.diff(got) >= 0).all()
    assert apart(got.astype(float), np.expm1(np.minimum(v.astype(float), 88))) < 5e-7


@pytest.mark.parametrize("bad", [-1.0, -1.5, -np.inf, np.nan, np.inf])
@pytest.mark.parametrize("context", ["carried", {"window": 3}], ids=str)
def test_without_a_logarithm_a_reading_is_missing(bad: float, context: Any) -> None:
    def model(missing: str) -> gw.Model:
        stage = gw.LayerSpec("numeric", width=2, missing=missing, transform=["log1p", None])
        layers = [gw.LayerSpec("gru", units=3)]
        return gw.init(gw.ModelSpec(input=stage, layers=layers, context=context), seed=1)

    x = np.random.default_rng(0).uniform(0, 3, (6, 2)).astype(np.float32)
    gone = x.copy()
    gone[3, 0] = bad
    with pytest.raises(
        InputError, match="input 0 at step 3 of row 0 is .*" + ("and 1 . x has no" if bad in (-1, -1.5) else "")
    ):
        model("raise").run(gone)
    with pytest.raises(InputError, match="input 0: not finite, of -1 or less where 1 . x is to"):
        to_torch(model("raise"))(torch.from_numpy(gone)[None])
    kept = gone.copy()
    kept[3, 0] = x[2, 0]
    assert model("hold").run(gone).tobytes() == model("hold").run(kept).tobytes()  # type: ignore[union-attr]
    below = x.copy()
    below[3, 1] = -7.0
    model("raise").run(below)  # the other column may be anything


def test_the_limits_are_those_of_what_is_scaled() -> None:
    stage = gw.LayerSpec("numeric", width=2, transform=["log1p", None])
    model = gw.init(gw.ModelSpec(input=stage, layers=[gw.LayerSpec("dense", units=1)]))
    least, largest = model.limits
    assert least[0] == np.nextafter(np.float32(-1), np.float32(0))
    assert largest[0] == np.finfo(np.float32).max
    model.run(np.array([[least[0], 0], [largest[0], 0]]))
    with pytest.raises(InputError, match="input 0 at step 0"):
        model.run(np.array([[-1.0, 0.0]]))


def test_options_that_are_not_used_leave_the_structure_as_it_was() -> None:
    """So states saved before still fit: the digest of such a model as it was before there were these options."""
    stage = gw.LayerSpec("numeric", width=2, scaling="standard")
    layers = [gw.LayerSpec("gru", units=4), gw.LayerSpec("dense", units=6)]
    head = gw.LayerSpec("quantiles", targets=[0, 1])
    graph = resolve(gw.ModelSpec(input=stage, layers=layers, head=head))
    assert graph.structure == "2cf43c3f8ccdaf9ec566f5f9a0fdc569c860b82ee43e6c41743812b177ccd5d9"
    bounded = resolve(gw.ModelSpec(input=stage, layers=layers, head=head.replace(minimum=[0, None])))
    assert bounded.structure == graph.structure, "a bound does not touch the state"
    logs = stage.replace(transform=["log1p", None]), head.replace(transform=["log1p", None])
    assert resolve(gw.ModelSpec(input=logs[0], layers=layers, head=logs[1])).structure != graph.structure


def test_bounds_that_are_none() -> None:
    assert Spec(minimum=[None]) == Spec()
    assert Spec(transform=[None]) == Spec()
    assert Spec(minimum=[0]) == Spec(minimum=[0.0])
    assert Numeric(width=2, transform=[None, None]) == Numeric(width=2)


@pytest.mark.parametrize(
    ("stage", "head", "message"),
    [
        (None, ["log1p"], "the input stage gives column 0 the transform None, but the head gives target 0 'log1p'"),
        (
            ["log1p", None],
            None,
            "the input stage gives column 0 the transform 'log1p', but the head gives target 0 None",
        ),
    ],
)
def test_a_head_goes_back_where_the_input_stage_went(stage: Any, head: Any, message: str) -> None:
    Spec(transform=head).outputs([Edge(3), Edge(2, transform=head and ("log1p", None))])
    with pytest.raises(SpecError, match=message):
        Spec(transform=head).outputs([Edge(3), Edge(2, transform=stage and tuple(stage))])


def test_a_detector_does_not_answer_in_logarithms() -> None:
    stage = gw.LayerSpec("numeric", width=2, transform=["log1p", None])
    layers = [gw.LayerSpec("dense", units=2)]

    def made(target: int) -> gw.Model:
        head = gw.LayerSpec("tail_probability", targets=[target])
        return gw.init(gw.ModelSpec(input=stage, layers=layers, head=head))

    made(1)
    with pytest.raises(SpecError, match="tail_probability does not support targets with a transform"):
        made(0)


OWN = [gw.LayerSpec("moments", width=1), gw.LayerSpec("standardise", sources=("input", "moments0"))]
LAST = [gw.LayerSpec("gru", units=4), gw.LayerSpec("dense", units=3)]


def windows(layers: Any, kind: str = "quantiles", **head: Any) -> gw.Model:
    spec = gw.ModelSpec(2, layers, head=gw.LayerSpec(kind, **head), context={"window": 5})
    return gw.init(spec)


def test_answers_in_the_units_of_a_window_are_refused() -> None:
    with pytest.raises(SpecError, match=r"has column 0 only in the units of its window, but quantiles needs .*mom"):
        windows([*OWN, *LAST])
    with pytest.raises(SpecError, match="has column 0 .* quantiles"):
        windows([*OWN, *LAST], sources=("dense0", "standardise0"))
    with pytest.raises(SpecError, match="has column 0 .* tail_probability needs .* leave standardise out"):
        windows([*OWN, gw.LayerSpec("dense", units=2)], "tail_probability")


def test_a_head_that_goes_back_or_a_model_that_knows_both_is_not() -> None:
    windows([*OWN, *LAST], sources=("dense0", "input", "moments0"))
    windows([*OWN, *LAST], targets=[1])  # of which there are no moments
    windows([*OWN, gw.LayerSpec("concat", sources=("standardise0", "moments0")), *LAST])
    windows([*OWN, gw.LayerSpec("concat", sources=("standardise0", "input")), *LAST])

"""The NumPy float64 reference of each kind, held to torch, pandas, SciPy, and formulas written out by hand."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from conformance.cases import HARD_KERAS, HARD_TORCH, UNITS, WIDTHS, readings, tensors
from gatewise.graph import Graph, reference_run, resolve, zero_state
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, ModelSpec

F64 = {"rtol": 0, "atol": 1e-13}


def gru(units: int, width: int, **options: Any) -> tuple[Graph, dict[str, Array], Array, dict[str, Array]]:
    """A GRU alone, its tensors, readings (4, 25, width) and a state to start from."""
    graph = resolve(ModelSpec(width, [LayerSpec("gru", units=units, **options)]))
    start = {"gru0.hidden": np.random.default_rng(1).normal(0, 0.5, (4, units))}
    return graph, tensors(graph), readings(graph, 4, 25), start


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("units", UNITS)
def test_gru_is_that_of_torch(units: int, width: int) -> None:
    graph, weights, x, start = gru(units, width)
    truth = torch.nn.GRU(width, units, batch_first=True, dtype=torch.float64)
    truth.load_state_dict({f"{name.partition('.')[2]}_l0": torch.tensor(value) for name, value in weights.items()})
    with torch.no_grad():
        wanted, last = truth(torch.tensor(x, dtype=torch.float64), torch.tensor(start["gru0.hidden"])[None])
    y, state = reference_run(graph, weights, x, start)
    np.testing.assert_allclose(y, wanted.numpy(), **F64)
    np.testing.assert_allclose(state["gru0.hidden"], last[0].numpy(), **F64)


SCALAR: Mapping[str, Callable[[float], float]] = {
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "tanh": math.tanh,
    "relu": lambda a: a if a > 0 else 0.0,
    "linear": lambda a: a,
}


def scalar(activation: Any) -> Callable[[float], float]:
    if isinstance(activation, str):
        return SCALAR[activation]
    slope, offset = activation["slope"], activation["offset"]
    return lambda a: min(1.0, max(0.0, slope * a + offset))


@pytest.mark.parametrize("gate", ["sigmoid", "tanh", "linear", "relu", HARD_TORCH, HARD_KERAS], ids=str)
@pytest.mark.parametrize("act", ["tanh", "sigmoid", "relu", "linear", HARD_TORCH], ids=str)
@pytest.mark.parametrize("reset", ["after", "before"])
def test_gru_is_the_equations_of_the_paper(reset: str, act: Any, gate: Any) -> None:
    # Cho et al. 2014, equations 5 to 8, one number at a time; z is here 1 - z of the paper.
    units, width = 3, 2
    graph, weights, x, start = gru(units, width, reset=reset, activation=act, gate_activation=gate)
    w, u, b, c = (weights[f"gru0.{name}"].astype(float) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = start["gru0.hidden"][0].tolist()
    g, phi = scalar(gate), scalar(act)
    y, _ = reference_run(graph, weights, x[:1, :4], {"gru0.hidden": start["gru0.hidden"][:1]})
    for t in range(4):
        row = x[0, t].astype(float)
        wx = [sum(w[i, k] * row[k] for k in range(width)) + b[i] for i in range(3 * units)]
        uh = [sum(u[i, k] * h[k] for k in range(units)) + c[i] for i in range(3 * units)]
        r = [g(wx[i] + uh[i]) for i in range(units)]
        z = [g(wx[units + i] + uh[units + i]) for i in range(units)]
        n = []
        for i in range(2 * units, 3 * units):
            if reset == "after":
                n.append(phi(wx[i] + r[i - 2 * units] * uh[i]))
            else:
                n.append(phi(wx[i] + sum(u[i, k] * r[k] * h[k] for k in range(units)) + c[i]))
        h = [(1 - z[i]) * n[i] + z[i] * h[i] for i in range(units)]
        np.testing.assert_allclose(y[0, t], h, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("activation", "truth"),
    [
        ("linear", torch.nn.Identity()),
        ("relu", torch.nn.ReLU()),
        ("tanh", torch.nn.Tanh()),
        ("sigmoid", torch.nn.Sigmoid()),
        ("softmax", torch.nn.Softmax(dim=-1)),
        (HARD_TORCH, torch.nn.Hardsigmoid()),
        (HARD_KERAS, lambda a: torch.clamp(0.2 * a + 0.5, 0, 1)),
    ],
    ids=str,
)
def test_dense_is_that_of_torch(activation: Any, truth: Callable[[torch.Tensor], torch.Tensor]) -> None:
    graph = resolve(ModelSpec(19, [LayerSpec("dense", units=7, activation=activation)]))
    weights, x = tensors(graph), 5 * readings(graph, 3, 11)
    linear = torch.nn.Linear(19, 7, dtype=torch.float64)
    linear.load_state_dict({name.partition(".")[2]: torch.tensor(value) for name, value in weights.items()})
    with torch.no_grad():
        wanted = truth(linear(torch.tensor(x, dtype=torch.float64)))
    y, state = reference_run(graph, weights, x)
    np.testing.assert_allclose(y, wanted.numpy(), **F64)
    assert state == {}


def test_softmax_of_huge_numbers_is_finite() -> None:
    graph = resolve(ModelSpec(1, [LayerSpec("dense", units=3, activation="softmax")]))
    weights = {"dense0.weight": np.array([[1], [2], [-1]], np.float32), "dense0.bias": np.zeros(3, np.float32)}
    y, _ = reference_run(graph, weights, np.full((1, 1, 1), 1e30, np.float32))
    np.testing.assert_array_equal(y[0, 0], [0, 1, 0])


def identity_after(stage: LayerSpec) -> tuple[Graph, dict[str, Array]]:
    """A model that shows what an input stage writes."""
    width = stage.options["width"]
    graph = resolve(ModelSpec(input=stage, layers=[LayerSpec("dense", units=width)]))
    weights = tensors(graph)
    weights["dense0.weight"] = np.eye(width, dtype=np.float32)
    weights["dense0.bias"] = np.zeros(width, np.float32)
    return graph, weights


@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_hold_is_forward_fill(scaling: str) -> None:
    graph, weights = identity_after(LayerSpec("numeric", width=5, scaling=scaling, missing="hold"))
    x = readings(graph, 2, 60)
    assert np.isnan(x).any()
    assert np.isinf(x).any()
    offset = weights.get("input.offset", np.zeros(5)).astype(float)
    scale = weights.get("input.scale", np.ones(5)).astype(float)
    y, state = reference_run(graph, weights, x)
    for row in range(2):
        frame = pd.DataFrame((x[row].astype(float) - offset) / scale).replace([np.inf, -np.inf], np.nan)
        wanted = frame.ffill().fillna(0.0).to_numpy()
        np.testing.assert_allclose(y[row], wanted, **F64)
        np.testing.assert_allclose(state["input.held"][row], wanted[-1], **F64)


def test_standard_scaling_undoes_the_mean_and_deviation() -> None:
    graph, weights = identity_after(LayerSpec("numeric", width=3, scaling="standard"))
    x = np.random.default_rng(0).normal([5, -3, 1000], [2, 0.1, 50], (1, 400, 3)).astype(np.float32)
    weights["input.offset"] = x[0].mean(axis=0, dtype=np.float64).astype(np.float32)
    weights["input.scale"] = x[0].std(axis=0, dtype=np.float64).astype(np.float32)
    y, _ = reference_run(graph, weights, x)
    np.testing.assert_allclose(y[0].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(y[0].std(axis=0), 1, atol=1e-6)


def test_a_stage_that_changes_nothing_is_left_out() -> None:
    graph = resolve(
        ModelSpec(input=LayerSpec("numeric", width=2, columns=["a", "b"]), layers=[LayerSpec("dense", units=2)])
    )
    assert [node.name for node in graph.nodes] == ["dense0"]
    assert graph.nodes[0].reads == (0,)


def forecaster(**options: Any) -> tuple[Graph, dict[str, Array]]:
    """A head on a forecast that never changes: location 0.5, log scale 0.25."""
    head = LayerSpec("tail_probability", **options)
    graph = resolve(ModelSpec(3, [LayerSpec("dense", units=2)], head=head))
    weights = tensors(graph)
    weights["dense0.weight"][:] = 0
    weights["dense0.bias"][:] = [0.5, 0.25]
    return graph, weights


@pytest.mark.parametrize("smooth", [1, 2, 12])
@pytest.mark.parametrize("target", [0, 2])
def test_the_head_smooths_as_pandas_and_reads_its_table(target: int, smooth: int) -> None:
    graph, weights = forecaster(targets=[target], smooth=smooth, samples=30)
    x = readings(graph, 1, 50, seed=3) * 2
    y, state = reference_run(graph, weights, x)
    location, log_scale = np.full(50, 0.5), np.full(50, 0.25)
    location[0] = log_scale[0] = 0  # the zero state forecasts the training mean and deviation
    residual = (x[0, :, target].astype(float) - location) / np.exp(log_scale)
    # ewm without adjustment starts at its first value, ours at 0: put a 0 before.
    smoothed = pd.Series([0.0, *residual]).ewm(span=smooth, adjust=False).mean().to_numpy()[1:]
    knots, scores = (weights[f"head.{name}"][0].astype(float) for name in ("statistic", "score"))
    slope = (scores[-1] - scores[-2]) / (knots[-1] - knots[-2])
    far = np.array([*knots, 1e6]), np.array([*scores, scores[-1] + slope * (1e6 - knots[-1])])
    wanted = np.interp(np.abs(smoothed), *far)
    np.testing.assert_allclose(y[0, :, 0], wanted, rtol=1e-9)
    np.testing.assert_array_equal(y[0, :, 4], wanted > math.log10(30))
    assert 0 < y[0, :, 4].sum() < 50, "the case has both: scores within the samples and beyond"
    offset, unit = weights["head.unit"][0].astype(float)
    low, high = weights["head.band"][0].astype(float)
    for column, value in (
        (1, location),
        (2, location + np.exp(log_scale) * low),
        (3, location + np.exp(log_scale) * high),
    ):
        np.testing.assert_allclose(y[0, :, column], value * unit + offset, **F64)
    np.testing.assert_allclose(state["head.smoothed"], [[smoothed[-1]]], **F64)
    np.testing.assert_allclose(state["head.location"], [[0.5]], **F64)
    np.testing.assert_allclose(state["head.log_scale"], [[0.25]], **F64)


@pytest.mark.parametrize("log_scale", [-1000.0, 1000.0])
def test_the_head_clips_a_wild_scale(log_scale: float) -> None:
    graph, weights = forecaster()
    weights["dense0.bias"][:] = [0, log_scale]
    y, _ = reference_run(graph, weights, np.ones((1, 2, 3), np.float32))
    offset, unit = weights["head.unit"][0].astype(float)
    wanted = math.exp(math.copysign(10, log_scale)) * weights["head.band"][0, 1].astype(float) * unit + offset
    np.testing.assert_allclose(y[0, 1, 3], wanted, rtol=1e-12)


@pytest.mark.parametrize("smooth", [1, 7])
def test_an_uncalibrated_head_assumes_a_normal_law(smooth: int) -> None:
    graph = resolve(ModelSpec(1, [LayerSpec("dense", units=2)], head=LayerSpec("tail_probability", smooth=smooth)))
    node = graph.nodes[-1]
    weights = node.layer.initial(node.edges, np.random.default_rng(0))
    alpha = 2 / (smooth + 1)
    deviation = math.sqrt(alpha / (2 - alpha))  # of exponentially smoothed white noise
    zero = {name.partition(".")[2]: value for name, value in zero_state(graph, 1, "float64").items() if "head" in name}
    for statistic in np.linspace(0.01, 5.9, 50) * deviation:
        reading = np.array([[statistic / alpha]])
        y, _ = node.layer.step({k: v.astype(float) for k, v in weights.items()}, zero, np.zeros((1, 2)), reading)
        wanted = -math.log10(2 * stats.norm.sf(statistic / deviation))
        np.testing.assert_allclose(y[0, 0], wanted, atol=2e-3)  # 64 knots, linear between: h^2 f'' / 8 = 1e-3


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    spec = ModelSpec(
        input=LayerSpec("numeric", width=3, missing="hold"),
        layers=[LayerSpec("gru", units=5), LayerSpec("dense", units=2)],
        head=LayerSpec("tail_probability", smooth=4),
    )
    graph = resolve(spec)
    weights, x = tensors(graph), readings(graph, 3, 12)
    y, state = reference_run(graph, weights, x)
    for row in range(3):
        alone, last = reference_run(graph, weights, x[row : row + 1])
        np.testing.assert_allclose(alone[0], y[row], **F64)
        for name, value in last.items():
            np.testing.assert_allclose(value[0], state[name][row], **F64)


def test_the_reference_goes_on_from_a_state() -> None:
    graph = resolve(ModelSpec(2, [LayerSpec("gru", units=4), LayerSpec("gru", units=3, reset="before")]))
    weights, x = tensors(graph), readings(graph, 2, 9)
    whole, end = reference_run(graph, weights, x)
    first, middle = reference_run(graph, weights, x[:, :4])
    rest, last = reference_run(graph, weights, x[:, 4:], middle)
    np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), whole)
    assert all((last[name] == end[name]).all() for name in end)

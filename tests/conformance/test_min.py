"""minGRU and minLSTM against the formulas of their paper, at gates beyond what floats hold, and as they begin."""

import math
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import gatewise as gw
from conformance.cases import HARD_TORCH, readings, tensors
from gatewise import _core
from gatewise.errors import SpecError
from gatewise.graph import reference_run
from gatewise.layers.base import Array
from gatewise.nn import Recurrent, to_torch
from gatewise.train import without_kernels

CPUS = _core.instruction_sets()
KINDS = ("mingru", "minlstm")
COLUMNS, H = 2, 3


def model(kind: str, units: int = H, columns: int = COLUMNS, **options: Any) -> gw.Model:
    spec = gw.ModelSpec(columns, [gw.LayerSpec(kind, "m", units=units, **options)])
    found = gw.init(spec)
    return found.replace(tensors=tensors(found.graph))


def sums(found: gw.Model, x: Array) -> list[Array]:
    """W x + b in float64, (batch, time, H) for each gate in turn, the candidate last."""
    weight, bias = (found.tensors[f"m.{name}"].astype(float) for name in ("weight_ih", "bias_ih"))
    return np.split(x.astype(float) @ weight.T + bias, len(bias) // found.outputs, axis=-1)


# --- the formulas -----------------------------------------------------------------------------------------------------


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


@pytest.mark.parametrize(
    ("activation", "act"),
    [
        ("linear", lambda a: a),
        ("tanh", math.tanh),
        (HARD_TORCH, lambda a: min(1.0, max(0.0, a / 6 + 0.5))),
    ],
    ids=["linear", "tanh", "hard"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_equations_of_the_paper(kind: str, activation: Any, act: Any) -> None:
    """Sections 3.1 and 3.2 of Feng et al. 2024, one number at a time."""
    found = model(kind, activation=activation)
    x = readings(found.graph, 1, 6)
    w, b = (found.tensors[f"m.{name}"].astype(float) for name in ("weight_ih", "bias_ih"))
    start = np.random.default_rng(1).normal(0, 0.5, H)
    y, state = reference_run(found.graph, found.tensors, x, {"m.hidden": start[None]})
    h = start.tolist()
    for t, row in enumerate(x[0].astype(float)):
        a = [sum(w[r, k] * row[k] for k in range(COLUMNS)) + b[r] for r in range(len(b))]
        for j in range(H):
            if kind == "mingru":
                z, n = sigmoid(a[j]), act(a[H + j])
                h[j] = (1 - z) * h[j] + z * n
            else:
                f, i, n = sigmoid(a[j]), sigmoid(a[H + j]), act(a[2 * H + j])
                h[j] = f / (f + i) * h[j] + i / (f + i) * n
        np.testing.assert_allclose(y[0, t], h, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(state["m.hidden"], y[:, -1])


def softplus(a: Array) -> Array:
    return np.logaddexp(0.0, a)


def log_space(kind: str, gates: list[Array], log_n: Array, log_h: Array) -> Array:
    """log h (batch, time, H), as the paper's appendix has it: a cumulative sum of log factors, and one of exponentials.

    gates: what goes into z, or into f and i. log_n: of the candidates. log_h: (batch, H), of the state to start from.
    """
    if kind == "mingru":
        (z,) = gates
        log_kept, log_taken = -softplus(z), -softplus(-z)
    else:
        f, i = gates
        difference = softplus(-f) - softplus(-i)
        log_kept, log_taken = -softplus(difference), -softplus(-difference)
    factors = np.cumsum(np.pad(log_kept, ((0, 0), (1, 0), (0, 0))), axis=1)
    values = np.concatenate([log_h[:, None], log_taken + log_n], axis=1)
    return (factors + np.logaddexp.accumulate(values - factors, axis=1))[:, 1:]


@pytest.mark.parametrize("activation", ["exponential", "sigmoid"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_papers_log_space_form_gives_the_same(kind: str, activation: str) -> None:
    """For candidates above 0, which it needs. sigmoid is the negative half of the paper's g."""
    found = model(kind, units=9, columns=4, activation=activation)
    x = readings(found.graph, 3, 200)
    start = np.random.default_rng(1).uniform(0.1, 2, (3, 9))
    *gates, n = sums(found, x)
    log_n = n if activation == "exponential" else -softplus(-n)
    wanted = np.exp(log_space(kind, gates, log_n, np.log(start)))
    y, _ = reference_run(found.graph, found.tensors, x, {"m.hidden": start})
    np.testing.assert_allclose(y, wanted, rtol=1e-12)
    with torch.no_grad():
        got, _ = to_torch(found).double()(torch.tensor(x, dtype=torch.float64), {"m.hidden": torch.tensor(start)})
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_lies_between_its_candidates(kind: str, cpu: str) -> None:
    found = model(kind, units=17, columns=5).replace(cpu=cpu)
    x = 30 * readings(found.graph, 2, 300)
    candidates = sums(found, x)[-1]
    low = np.minimum.accumulate(np.minimum(candidates, 0.0), axis=1)
    high = np.maximum.accumulate(np.maximum(candidates, 0.0), axis=1)
    y = found.run(x)
    assert ((low - 2e-5 <= y) & (y <= high + 2e-5)).all()
    assert (np.abs(y - candidates)[:, 1:] > 0.1).any(), "and it is not just the last of them"


# --- gates beyond what floats hold ------------------------------------------------------------------------------------

ENDS = (-1e4, -200.0, -190.0, -103.5, -88.5, -40.0, -17.0, -3.0, 0.0, 2.0, 17.5, 60.0, 200.0, 1e4)


def at_gates(kind: str, cpu: str | None = None) -> gw.Model:
    """One unit whose gates are the readings themselves, and whose candidate is 1: from h = 0 it gives z or i'."""
    gates = 1 if kind == "mingru" else 2
    spec = gw.ModelSpec(gates, [gw.LayerSpec(kind, "m", units=1)])
    weight = np.eye(gates + 1, gates, dtype=np.float32)
    return gw.Model(spec, {"m.weight_ih": weight, "m.bias_ih": np.eye(gates + 1, dtype=np.float32)[-1]}, cpu=cpu)


def extremes(kind: str) -> tuple[Array, Array]:
    """Gates (cases, 1, gates), and the share of the candidate that is taken in (cases,), worked out to 50 digits."""
    grid = [(v,) for v in ENDS] if kind == "mingru" else [(u, v) for u in ENDS for v in ENDS]
    with localcontext(prec=50):
        gates = [[1 / (1 + (-Decimal(value)).exp()) for value in case] for case in grid]
        taken = [float(case[-1] / (sum(case) if kind == "minlstm" else 1)) for case in gates]
    return np.array(grid, np.float32)[:, None], np.array(taken)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_is_exact_at_any_gates(kind: str) -> None:
    x, wanted = extremes(kind)
    found = at_gates(kind)
    y, _ = reference_run(found.graph, found.tensors, x)
    np.testing.assert_allclose(y[:, 0, 0], wanted, rtol=4e-14, atol=1e-300)  # a log near -200 has an ulp of 3e-14


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_core_is_exact_at_any_gates(kind: str, cpu: str) -> None:
    x, wanted = extremes(kind)
    got = at_gates(kind, cpu).run(x)[:, 0, 0]
    np.testing.assert_allclose(got, np.where(wanted < 2.0**-64, 0.0, wanted), rtol=4e-7, atol=0)


@pytest.mark.parametrize(("dtype", "rtol", "atol"), [(torch.float64, 1e-13, 1e-300), (torch.float32, 3e-6, 1e-38)])
@pytest.mark.parametrize("kind", KINDS)
def test_torch_is_exact_at_any_gates_and_so_is_its_gradient(
    kind: str, dtype: torch.dtype, rtol: float, atol: float
) -> None:
    """With s the share taken in: ds/dv = s (1 - s) sigmoid(-v), ds/du = -s (1 - s) sigmoid(-u); minGRU's z (1 - z).

    torch makes 1 - s of a rounded s, so a slope may be wrong by a last place of 1.
    """
    x, wanted = extremes(kind)
    given = torch.tensor(x, dtype=dtype, requires_grad=True)
    y, _ = to_torch(at_gates(kind)).to(dtype)(given)
    np.testing.assert_allclose(y.detach().numpy()[:, 0, 0], wanted, rtol=rtol, atol=atol)
    (slopes,) = torch.autograd.grad(y.sum(), given)
    gates = x[:, 0].astype(float)
    falling = np.exp(-softplus(gates))  # sigmoid(-v)
    if kind == "mingru":
        slope = wanted[:, None] * falling
    else:
        slope = (wanted * (1 - wanted))[:, None] * falling * [-1, 1]
    np.testing.assert_allclose(slopes.numpy()[:, 0], slope, rtol=rtol, atol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_memory_of_200_000_steps_keeps_its_pace(kind: str, cpu: str) -> None:
    """h comes to n by z = 5e-6 of the way a step. With 1 - z, rounded to a float, it would be two thousandths off."""
    z = -12.2
    bias = np.array([[z, 1.0] if kind == "mingru" else [-z, z, 1.0]], np.float32)
    spec = gw.ModelSpec(1, [gw.LayerSpec(kind, "m", units=1)])
    found = gw.Model(spec, {"m.weight_ih": np.zeros_like(bias.T), "m.bias_ih": bias[0]}, cpu=cpu)
    steps = 100_000
    wanted = -math.expm1(steps * math.log1p(-sigmoid(float(bias[0, -2]))))  # 1 - (1 - z)^steps
    np.testing.assert_allclose(found.run(np.zeros((steps, 1)))[-1], wanted, rtol=3e-5)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_begins_a_new_series(kind: str) -> None:
    net = to_torch(model(kind)).double()
    x = torch.randn(2, 9, COLUMNS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    resets = torch.zeros(2, 9, dtype=torch.bool)
    resets[0, 4] = resets[1, 2] = resets[1, 3] = True
    got, after = net(x, None, torch.tensor([9, 5]), resets)
    for row, cuts in enumerate(([0, 4, 9], [0, 2, 3, 5])):
        pieces = [net(x[row : row + 1, a:b]) for a, b in pairwise(cuts)]
        wanted = torch.cat([y for y, _ in pieces], 1)[0]
        torch.testing.assert_close(got[row, : cuts[-1]], wanted, rtol=0, atol=1e-14)
        torch.testing.assert_close(after["m.hidden"][row], pieces[-1][1]["m.hidden"][0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_finite_differences_without_kernels(kind: str) -> None:
    net: Recurrent = to_torch(model(kind)).double()
    x = torch.randn(1, 3, COLUMNS, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with without_kernels():
        assert torch.autograd.gradgradcheck(lambda x: net(x)[0], (x,))


# --- how it begins ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_chrono_spreads_memories_up_to_the_longest(kind: str) -> None:
    """At a reading of 0 a unit takes in one part in `constant`, uniform in 2 .. T."""
    longest, units = 500, 800
    spec = gw.ModelSpec(1, [gw.LayerSpec(kind, "m", units=units, chrono=longest)])
    bias = gw.init(spec).tensors["m.bias_ih"].astype(float).reshape(-1, units)
    gates = 1 / (1 + np.exp(-bias[:-1]))
    constants = 1 / gates[0] if kind == "mingru" else (gates[0] + gates[1]) / gates[1]
    assert constants.min() >= 2.0 - 1e-6
    assert constants.max() <= longest * (1 + 1e-6)
    np.testing.assert_allclose(
        np.quantile(constants, [0.25, 0.5, 0.75]), np.array([0.25, 0.5, 0.75]) * longest, atol=35
    )
    assert not bias[-1].any()


def test_a_forget_bias_opens_the_memory_as_an_lstms_does() -> None:
    """At a reading of 0, whose candidate is 0, a step leaves sigmoid(forget_bias) of the state."""
    for options, share in (({}, sigmoid(1.0)), ({"forget_bias": 4.0}, sigmoid(4.0)), ({"forget_bias": 0}, 0.5)):
        found = gw.init(gw.ModelSpec(COLUMNS, [gw.LayerSpec("minlstm", "m", units=H, **options)]))
        start = {"m.hidden": np.array([[1.0, -2.0, 3.0]])}
        y, _ = reference_run(found.graph, found.tensors, np.zeros((1, 1, COLUMNS)), start)
        np.testing.assert_allclose(y[0, 0], share * start["m.hidden"][0], rtol=1e-14)


def test_mingru_begins_half_open() -> None:
    assert not gw.init(gw.ModelSpec(COLUMNS, [gw.LayerSpec("mingru", "m", units=H)])).tensors["m.bias_ih"].any()


@pytest.mark.parametrize("kind", KINDS)
def test_how_memory_begins_is_not_structure(kind: str) -> None:
    begins = [{}, {"chrono": 9}] + ([{"forget_bias": 3.0}] if kind == "minlstm" else [])
    specs = [gw.ModelSpec(2, [gw.LayerSpec(kind, units=3, **options)]) for options in [*begins, {"activation": "tanh"}]]
    *same, other = (gw.init(spec).graph.structure for spec in specs)
    assert len(set(same)) == 1
    assert other not in same


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("mingru", {"units": 0}, "units must be a whole number from 1"),
        ("mingru", {"chrono": 2}, "chrono must be a whole number from 3"),
        ("mingru", {"forget_bias": 1.0}, "mingru 'm' has no option 'forget_bias'"),
        ("mingru", {"activation": "softmax"}, "activation must be one of"),
        ("minlstm", {"units": 1.5}, "units must be a whole number from 1"),
        ("minlstm", {"chrono": 2}, "chrono must be a whole number from 3"),
        ("minlstm", {"forget_bias": 101}, "forget_bias must be a number from -100 to 100"),
        ("minlstm", {"activation": "softmax"}, "activation must be one of"),
    ],
)
def test_senseless_options_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        gw.init(gw.ModelSpec(COLUMNS, [gw.LayerSpec(kind, "m", **{"units": H, **options})]))

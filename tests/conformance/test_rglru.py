"""The real-gated linear recurrent unit against its paper's equations, by hand, and where floats are at their ends."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import gatewise as gw
from conformance.cases import readings, tensors
from gatewise import _core
from gatewise.errors import SpecError
from gatewise.graph import reference_run, resolve
from gatewise.layers.base import Array
from gatewise.nn import to_torch

CPUS = _core.instruction_sets()
SIGNED = [False, True]


def model(units: int, width: int, signed: bool, cpu: str | None = None, **changed: Any) -> gw.Model:
    """Tensors as the suite draws them, but for those that are given, with a value or an array."""
    spec = gw.ModelSpec(width, [gw.LayerSpec("rglru", units=units, signed=signed)])
    drawn = tensors(resolve(spec))
    for name, value in changed.items():
        drawn[f"rglru0.{name}"][:] = value
    return gw.Model(spec, drawn, cpu=cpu)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("signed", SIGNED)
@pytest.mark.parametrize("width", [3, 2])
def test_it_is_the_equations_of_the_paper(width: int, signed: bool) -> None:
    # De et al. 2024, equations 1 to 4, one number at a time. With three inputs W_v is the identity, and v is x itself.
    units = 3
    found = model(units, width, signed)
    w, b, decay = (found.tensors[f"rglru0.{name}"].astype(float) for name in ("weight_ih", "bias_ih", "decay"))
    if width == units:
        w[6:], b[6:] = np.eye(3), 0.0
    x = readings(found.graph, 1, 6)
    h = [0.3, -0.2, 0.1]
    drawn = {"rglru0.weight_ih": w, "rglru0.bias_ih": b, "rglru0.decay": decay}
    y, _ = reference_run(found.graph, drawn, x, {"rglru0.hidden": np.array([h])})
    for t in range(6):
        row = x[0, t].astype(float)
        for j in range(units):
            r = sigmoid(sum(w[j, k] * row[k] for k in range(width)) + b[j])
            i = sigmoid(sum(w[3 + j, k] * row[k] for k in range(width)) + b[3 + j])
            v = row[j] if width == units else sum(w[6 + j, k] * row[k] for k in range(width)) + b[6 + j]
            a = sigmoid(-decay[j]) ** (8 * r)  # the paper's Lambda is -decay
            if signed:  # Grazzi et al. 2024: eigenvalues from -1 to 1
                a = 2 * a - 1
            h[j] = a * h[j] + math.sqrt(1 - a * a) * (i * v)
        np.testing.assert_allclose(y[0, t], h, rtol=1e-11, atol=1e-13)


def test_the_factor_starts_between_the_papers_bounds() -> None:
    drawn = gw.init(gw.ModelSpec(1, [gw.LayerSpec("rglru", units=4000)])).tensors
    a = np.exp(-8 * np.logaddexp(0, drawn["rglru0.decay"].astype(float)))  # at r = 1
    assert 0.9 - 1e-6 <= a.min() < a.max() <= 0.999 + 1e-6
    assert stats.kstest(a, stats.uniform(0.9, 0.099).cdf).pvalue > 0.01
    assert not drawn["rglru0.bias_ih"].any()


def test_a_signed_factor_starts_long_and_can_change_its_sign() -> None:
    drawn = gw.init(gw.ModelSpec(1, [gw.LayerSpec("rglru", units=4000, signed=True)])).tensors
    rate = 8 * np.logaddexp(0, drawn["rglru0.decay"].astype(float))
    gate, rest = drawn["rglru0.bias_ih"].astype(float)[:4000], drawn["rglru0.bias_ih"][4000:]
    at_zero, at_one = 2 * np.exp(-rate / (1 + np.exp(-gate))) - 1, 2 * np.exp(-rate) - 1
    np.testing.assert_allclose(at_zero, -at_one, rtol=0, atol=1e-6)
    assert stats.kstest(at_zero, stats.uniform(0.9, 0.099).cdf).pvalue > 0.01
    assert not rest.any()


def one_step(found: gw.Model, h: float) -> Array:
    state = gw.State(found.graph.structure, {"rglru0.hidden": np.full((1, found.outputs), h, np.float32)})
    return found.run(np.zeros((1, 1), np.float32), state=state)[0]


def open_gates(gaps: Array, signed: bool) -> dict[str, Any]:
    """r = i = v = 1 at an input of 0, and decay such that 1 - a is a gap; signed, or that -1 - a is one below 0."""
    rate = np.where(gaps > 0, -np.log1p(-np.abs(gaps) / (2 if signed else 1)), -np.log(np.abs(gaps) / 2))
    bias = np.repeat([60.0, 60.0, 1.0], len(gaps))
    return {"bias_ih": bias, "decay": np.log(np.expm1(rate / 8))}


@pytest.mark.parametrize("signed", SIGNED)
def test_what_is_written_is_exact_where_memory_is_long(signed: bool) -> None:
    """sqrt(1 - a^2) to float32's relative precision, for a within 1e-12 to 1e-7 of 1, or of -1."""
    gaps = 10.0 ** np.linspace(-12, -1, 200)
    if signed:
        gaps = np.concatenate([gaps, -gaps])
    changed = open_gates(gaps, signed)
    decay = changed["decay"].astype(np.float32).astype(float)
    log_a = -8 * np.logaddexp(0, decay)
    wanted = 2 * np.sqrt(-np.exp(log_a) * np.expm1(log_a)) if signed else np.sqrt(-np.expm1(2 * log_a))
    np.testing.assert_allclose(wanted, np.sqrt(2 * np.abs(gaps)), rtol=0.05)  # it is what it is meant to be
    for cpu in CPUS:
        got = one_step(model(len(gaps), 1, signed, cpu, **changed), 0.0)
        np.testing.assert_allclose(got, wanted, rtol=5e-7, atol=0)
    module = to_torch(model(len(gaps), 1, signed, **changed))
    with torch.no_grad():
        got = module(torch.zeros(1, 1, 1))[0].numpy()[0, 0]
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=0)


@pytest.mark.parametrize("signed", SIGNED)
def test_a_gate_that_has_closed_keeps_its_state_and_its_gradient(signed: bool) -> None:
    """At r = 0 in float32, a = 1 and the root is 0, where its slope would be infinite."""
    found = model(4, 1, signed, bias_ih=np.repeat([-200.0, 0.3, 0.5], 4))
    for cpu in CPUS:
        assert (one_step(found.replace(cpu=cpu), 0.7) == np.float32(0.7)).all()
    module = to_torch(found)
    x = torch.ones(2, 5, 1, requires_grad=True)
    y, _ = module(x, {"rglru0.hidden": torch.full((2, 4), 0.7)})
    y.sum().backward()
    assert (y == torch.tensor(0.7)).all()
    assert all(bool(torch.isfinite(p.grad).all()) for p in [x, *module.parameters()] if p.grad is not None)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("signed", SIGNED)
def test_any_decay_gives_what_the_reference_gives(signed: bool, cpu: str) -> None:
    decays, gates = [-3e38, -120.0, -30.0, 0.0, 30.0, 3e38], [-300.0, -40.0, 0.0, 40.0, 300.0]
    pairs = np.array(list(itertools.product(decays, gates)))
    bias = np.concatenate([pairs[:, 1], np.zeros(len(pairs)), np.ones(len(pairs))])
    found = model(len(pairs), 2, signed, cpu, decay=pairs[:, 0], bias_ih=bias)
    x = readings(found.graph, 1, 8)
    with np.errstate(over="ignore"):
        y, _ = reference_run(found.graph, found.tensors, x)
    np.testing.assert_allclose(found.run(x), y, rtol=0, atol=1e-6)


@pytest.mark.parametrize("signed", SIGNED)
def test_the_state_is_bounded_by_what_it_was_made_of(signed: bool) -> None:
    """|h| <= max |v| sqrt((1 + a) / (1 - a)), and a constant reading comes up to it."""
    found = model(50, 1, signed, bias_ih=np.repeat([0.0, 60.0, 0.0], 50))
    weight, decay = (found.tensors[f"rglru0.{name}"].astype(float) for name in ("weight_ih", "decay"))
    weight = weight.copy()
    weight[:100] = 0.0  # r = 1/2, i = 1, v = w x
    a = np.exp(-4 * np.logaddexp(0, decay))
    a = np.abs(2 * a - 1) if signed else a
    bound = np.abs(weight[100:, 0]) * np.sqrt((1 + a) / (1 - a))
    drawn = {**found.tensors, "rglru0.weight_ih": weight}
    for x in (np.ones(2000), (-1.0) ** np.arange(2000), np.random.default_rng(0).choice([-1, 1], 2000)):
        y, _ = reference_run(found.graph, drawn, x[None, :, None])
        assert (np.abs(y[0]) <= bound * (1 + 1e-12)).all()
    reached = np.maximum(*(np.abs(reference_run(found.graph, drawn, x)[0][0, -1]) for x in _constants(2000)))
    np.testing.assert_allclose(reached, bound, rtol=1e-9)


def _constants(steps: int) -> tuple[Array, Array]:
    """Readings that always push the same way, for a factor above 0 and for one below."""
    return np.ones((1, steps, 1)), (-1.0) ** np.arange(steps)[None, :, None]


@pytest.mark.parametrize("cpu", CPUS)
def test_a_signed_unit_can_keep_a_parity(cpu: str) -> None:
    """By hand: a one turns the state over and writes c, a zero leaves it; h is c after an odd number of ones."""
    flip = 0.9999  # 2 a - 1 = -flip at r = 1
    rate = -math.log((1 - flip) / 2)
    found = model(
        1,
        1,
        True,
        cpu,
        weight_ih=np.array([[80.0], [0.0], [1.0]]),
        bias_ih=[-40.0, 60.0, 0.0],
        decay=math.log(math.expm1(rate / 8)),
    )
    bits = np.random.default_rng(0).integers(0, 2, 1000)
    c = math.sqrt(1 - flip**2)
    y = found.run(bits[:, None].astype(np.float32))[:, 0]
    np.testing.assert_array_equal(y > c / 2, np.cumsum(bits) % 2)


def parity_after_training(signed: bool) -> float:
    """The share of right answers, at every step of sequences of 40 bits, after 600 steps of training."""
    torch.manual_seed(0)
    layers = [gw.LayerSpec("rglru", units=8, signed=signed), gw.LayerSpec("dense", units=2)]
    module = to_torch(gw.init(gw.ModelSpec(1, layers), seed=1))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        bits = torch.randint(0, 2, (64, 40))
        return bits[:, :, None].float(), bits.cumsum(1) % 2

    for _ in range(600):
        x, parity = draw()
        loss = torch.nn.functional.cross_entropy(module(x)[0].flatten(0, 1), parity.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, parity = draw()
    return float((module(x)[0].argmax(-1) == parity).float().mean())


@pytest.mark.slow
def test_a_parity_is_learnt_with_signs_and_not_without() -> None:
    assert parity_after_training(True) > 0.99
    assert parity_after_training(False) < 0.6


def test_rows_may_begin_anew_and_end_early() -> None:
    """With resets and lengths a row is its pieces, each from a zero state."""
    found = model(5, 2, True)
    module = to_torch(found).double()
    x, lengths = readings(found.graph, 2, 9).astype(np.float64), [9, 6]
    resets = torch.zeros(2, 9, dtype=torch.bool)
    resets[0, 4] = resets[1, 1] = resets[1, 3] = True
    with torch.no_grad():
        y, after = module(torch.from_numpy(x), None, torch.tensor(lengths), resets)
    for row, cuts in enumerate(([0, 4, 9], [0, 1, 3, 6])):
        for a, b in itertools.pairwise(cuts):
            wanted, end = reference_run(found.graph, found.tensors, x[row : row + 1, a:b])
            np.testing.assert_allclose(y[row, a:b].numpy(), wanted[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(after["rglru0.hidden"][row].numpy(), end["rglru0.hidden"][0], rtol=0, atol=1e-12)


def test_signed_is_a_flag_and_another_structure() -> None:
    with pytest.raises(SpecError, match="signed must be true or false, got 1"):
        model(2, 1, 1)  # type: ignore[arg-type]
    assert model(2, 1, True).graph.structure != model(2, 1, False).graph.structure

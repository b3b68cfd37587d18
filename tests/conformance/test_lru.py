"""The linear recurrent unit against its paper's equations, by hand, its impulse response, and the ring it starts on."""

import cmath
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


def model(units: int, width: int, cpu: str | None = None, **options: Any) -> gw.Model:
    """Tensors as the suite draws them."""
    spec = gw.ModelSpec(width, [gw.LayerSpec("lru", units=units, **options)])
    return gw.Model(spec, tensors(resolve(spec)), cpu=cpu)


def matrices(found: gw.Model) -> tuple[Array, Array, Array, Array, Array]:
    """lambda (N), gamma (N), and B (N, I), C (H, N), D (H, I) as the paper has them."""
    t = {name.partition(".")[2]: value.astype(float) for name, value in found.tensors.items()}
    n = len(t["nu_log"])
    size, angle = np.exp(-np.exp(t["nu_log"])), np.exp(t["theta_log"])
    b, c = t["weight_ih"], t["weight_ho"]
    turn = size * (np.cos(angle) + 1j * np.sin(angle))
    return turn, np.exp(t["gamma_log"]), b[:n] + 1j * b[n:], c[:, :n] - 1j * c[:, n:], t["weight_io"]


def test_it_is_the_equations_of_the_paper() -> None:
    # Orvieto et al. 2023, one number at a time.
    units, states, width = 2, 3, 2
    found = model(units, width, states=states)
    t = {name.partition(".")[2]: value.astype(float).tolist() for name, value in found.tensors.items()}
    x = readings(found.graph, 1, 5)
    h = [0.3 + 0.1j, -0.2j, 0.5 + 0j]
    start = {"lru0.hidden_re": np.array([[z.real for z in h]]), "lru0.hidden_im": np.array([[z.imag for z in h]])}
    y, after = reference_run(found.graph, found.tensors, x, start)
    for step in range(5):
        row = x[0, step].astype(float).tolist()
        for n in range(states):
            turn = cmath.exp(complex(-math.exp(t["nu_log"][n]), math.exp(t["theta_log"][n])))
            b = [complex(t["weight_ih"][n][k], t["weight_ih"][states + n][k]) for k in range(width)]
            h[n] = turn * h[n] + math.exp(t["gamma_log"][n]) * sum(b[k] * row[k] for k in range(width))
        for j in range(units):
            c = [complex(t["weight_ho"][j][n], -t["weight_ho"][j][states + n]) for n in range(states)]
            wanted = sum(c[n] * h[n] for n in range(states)).real
            wanted += sum(t["weight_io"][j][k] * row[k] for k in range(width))
            assert y[0, step, j] == pytest.approx(wanted, rel=1e-11, abs=1e-13)
    np.testing.assert_allclose(after["lru0.hidden_re"][0] + 1j * after["lru0.hidden_im"][0], h, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("units", "states"), [(1, 1), (7, 33), (40, 5)])
def test_an_impulse_rings_as_powers_of_lambda(units: int, states: int, cpu: str) -> None:
    """y[t] = Re(C lambda^t gamma B) + (D where t is 0), in closed form."""
    found = model(units, 2, cpu, states=states)
    turn, gamma, b, c, d = matrices(found)
    x = np.zeros((300, 2), np.float32)
    x[0] = 1.0, -0.5
    wanted = np.stack([(c @ (turn**t * gamma * (b @ x[0]))).real for t in range(300)])
    wanted[0] += d @ x[0]
    np.testing.assert_allclose(found.run(x), wanted, rtol=0, atol=3e-6)


@pytest.mark.parametrize(("low", "high", "phase"), [(0.9, 0.999, 2 * math.pi), (0.0, 1.0, 0.3), (0.5, 0.6, 1.0)])
def test_it_starts_on_a_ring(low: float, high: float, phase: float) -> None:
    spec = gw.LayerSpec("lru", units=1, states=4000, r_min=low, r_max=high, max_phase=phase)
    turn, gamma, b, c, _ = matrices(gw.init(gw.ModelSpec(8, [spec])))
    square = np.abs(turn) ** 2
    assert low**2 - 1e-6 <= square.min() < square.max() <= high**2 + 1e-6
    assert stats.kstest(square, stats.uniform(low**2, high**2 - low**2).cdf).pvalue > 0.01
    assert stats.kstest(np.angle(turn) % (2 * math.pi), stats.uniform(0, phase).cdf).pvalue > 0.01
    # The float32 of nu_log moves 1 - |lambda|^2 by as many parts as it moves nu_log by units.
    np.testing.assert_allclose(gamma**2, 1 - square, rtol=4e-6)
    for part, variance in ((b.real, 1 / 16), (b.imag, 1 / 16), (c.real, 1 / 4000), (c.imag, 1 / 4000)):
        assert np.var(part) == pytest.approx(variance, rel=0.1)
        assert stats.kstest(part.ravel() / variance**0.5, "norm").pvalue > 0.01


def test_white_noise_fills_short_and_long_memories_alike() -> None:
    """What gamma is for: E |h|^2 = |B|^2 for each state, whatever |lambda| is."""
    spec = gw.ModelSpec(1, [gw.LayerSpec("lru", units=1, states=30, r_min=0.3, r_max=0.97)])
    found = gw.init(spec, seed=1)
    _, _, b, _, _ = matrices(found)
    x = np.random.default_rng(0).normal(size=(4000, 300, 1)).astype(np.float32)
    _, state = found.run(x, return_state=True)
    power = np.mean(state.fields["lru0.hidden_re"] ** 2 + state.fields["lru0.hidden_im"] ** 2, axis=0)
    np.testing.assert_allclose(power / np.abs(b[:, 0]) ** 2, 1, atol=0.12)  # 4 deviations of 4000 squares


@pytest.mark.parametrize("cpu", CPUS)
def test_the_longest_memory_does_not_grow_by_its_rounding(cpu: str) -> None:
    """Rounded to the nearest float, |lambda| would be beyond 1 for half of these angles, by up to 8e-8 a step."""
    states, steps = 64, 100_000
    found = model(1, 1, cpu, states=states)
    drawn = {
        **found.tensors,
        "lru0.nu_log": np.full(states, -30, np.float32),
        "lru0.theta_log": np.log(np.linspace(0.1, 6.2, states)).astype(np.float32),
    }
    start = {"lru0.hidden_re": np.ones((1, states), np.float32), "lru0.hidden_im": np.zeros((1, states), np.float32)}
    found = found.replace(tensors=drawn)
    _, after = found.run(
        np.zeros((steps, 1), np.float32), state=gw.State(found.graph.structure, start), return_state=True
    )
    size = np.hypot(after.fields["lru0.hidden_re"], after.fields["lru0.hidden_im"])
    assert 0.98 < size.min() < size.max() < 1 + 1e-4


@pytest.mark.parametrize("cpu", CPUS)
def test_an_angle_may_be_many_turns(cpu: str) -> None:
    found = model(3, 2, cpu, states=20)
    angles = np.log(np.linspace(100, 1e6, 20)).astype(np.float32)
    found = found.replace(tensors={**found.tensors, "lru0.theta_log": angles})
    x = readings(found.graph, 1, 20)
    np.testing.assert_allclose(found.run(x), reference_run(found.graph, found.tensors, x)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["nu_log", "theta_log", "gamma_log"])
def test_what_no_float_holds_is_refused(name: str) -> None:
    found = model(2, 1)
    for value, fits in ((88.7, True), (88.8, False), (3e38, False), (-3e38, True)):
        changed = found.tensors[f"lru0.{name}"].copy()
        changed[1] = value
        drawn = {**found.tensors, f"lru0.{name}": changed}
        (node,) = found.graph.nodes
        native = [("lru", node.reads, node.writes, node.layer.native(), list(drawn.values()))]
        if fits:
            found.replace(tensors=drawn)
            _core.Model(native, [1, 2], 1, True)
            continue
        with pytest.raises(SpecError, match=f"{name} must be at most 88.7, so that exp of it is a float32, got "):
            found.replace(tensors=drawn)
        position = list(drawn).index(f"lru0.{name}")
        with pytest.raises(SpecError, match=rf"node 0 \(lru\), position {position}: a tensor contains a value"):
            _core.Model(native, [1, 2], 1, True)


def test_rows_may_begin_anew_and_end_early() -> None:
    """With resets and lengths a row is its pieces, each from a zero state."""
    found = model(3, 2, states=5)
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
        for name, value in end.items():
            np.testing.assert_allclose(after[name][row].numpy(), value[0], rtol=0, atol=1e-12)


def test_how_memory_begins_is_not_structure() -> None:
    def structure(**options: Any) -> str:
        return resolve(gw.ModelSpec(2, [gw.LayerSpec("lru", units=3, **options)])).structure

    assert structure() == structure(r_min=0.2, r_max=0.5, max_phase=1.0)
    assert structure() != structure(states=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"states": 0}, "states must be a whole number from 1"),
        ({"states": 2.0}, "states must be a whole number"),
        ({"r_min": 0.999}, "r_min must be smaller than r_max, got 0.999 and 0.999"),
        ({"r_max": 0.5}, "r_min must be smaller than r_max, got 0.9 and 0.5"),
        ({"r_max": 1.1}, "r_max must be a number from 0 to 1, got 1.1"),
        ({"r_min": -0.1}, "r_min must be a number from 0 to 1"),
        ({"max_phase": 0.0}, "max_phase must be a number from 1e-06 to 6.28319"),
        ({"max_phase": 7}, "max_phase must be a number from 1e-06 to 6.28319"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve(gw.ModelSpec(2, [gw.LayerSpec("lru", units=3, **options)]))

"""Gates and time constants, against formulas for gates that are constant and against gates computed by hand."""

import math

import numpy as np
import pytest
import torch

import gatewise as gw
from gatewise import layers
from gatewise.errors import InputError
from gatewise.layers.base import Array, Edge
from gatewise.measure import gates

X = np.random.default_rng(0).standard_normal((500, 2)).astype(np.float32)


def _constant(kind: str, biases: dict[str, Array], **options: object) -> gw.Model:
    """A model of one layer whose tensors are 0, except for the ones given."""
    drawn = gw.init(gw.ModelSpec(inputs=2, layers=[gw.LayerSpec(kind, "one", units=3, **options)]))
    given = {f"one.{name}": np.asarray(value, np.float32) for name, value in biases.items()}
    return drawn.replace(tensors={name: given.get(name, np.zeros_like(old)) for name, old in drawn.tensors.items()})


def _logit(p: Array) -> Array:
    return np.log(p / (1 - p))


KEPT = np.array([0.02, 0.9, 0.999])
Z = np.zeros(3)
CONSTANT = {
    "gru": {"bias_hh": np.concatenate([Z, _logit(KEPT), Z])},
    "lstm": {"bias_ih": np.concatenate([Z, _logit(KEPT), Z, Z])},
    "mingru": {"bias_ih": np.concatenate([-_logit(KEPT), Z])},
    "minlstm": {"bias_ih": np.concatenate([np.log(KEPT / (1.5 - KEPT)), np.log((1 - KEPT) / (0.5 + KEPT)), Z])},
    "rglru": {"decay": np.log(np.expm1(-np.log(KEPT) / 4))},  # at r = 1/2: a = exp(-4 softplus(decay))
    "lru": {"nu_log": np.log(-np.log(KEPT)), "theta_log": np.array([0.0, 1.0, -1.0])},
}


@pytest.mark.parametrize("kind", CONSTANT)
def test_constant_gates_have_the_time_constants_of_the_formula(kind: str) -> None:
    found = gates(_constant(kind, CONSTANT[kind]), X, steps=100)
    assert found.steps == 96  # three stretches of 32
    (layer,) = found.layers
    assert (layer.layer, layer.kind) == ("one", kind)
    assert layer.retention is not None
    kept = layer.gates[layer.retention]
    assert np.allclose(kept.mean, KEPT, rtol=1e-5)
    assert np.allclose(layer.time_constants, -1 / np.log(KEPT), rtol=2e-4)  # the biases are float32, near 1 - f = 0.001
    assert np.array_equal(layer.quantiles, layer.time_constants)
    assert (kept.closed.tolist(), kept.open.tolist()) == ([1, 0, 0], [0, 0, 1])


def test_gates_that_change_have_the_rate_of_their_mean() -> None:
    """One input that is 0 or 1 switches the gate between two values."""
    weight = np.zeros((6, 2))
    weight[:3, 0] = 2.0
    model = _constant("mingru", {"weight_ih": weight, "bias_ih": np.concatenate([_logit(np.full(3, 0.02)), Z])})
    x = (np.arange(320) % 4 == 0).astype(np.float32)[:, None] * np.ones(2, np.float32)
    low, high = 1 - 1 / (1 + math.exp(-_logit(np.array(0.02)))), 1 - 1 / (1 + math.exp(-_logit(np.array(0.02)) - 2))
    (layer,) = gates(model, x).layers
    assert np.allclose(layer.gates["forget"].mean, (3 * low + high) / 4, rtol=1e-6)
    assert np.allclose(layer.gates["update"].closed, 0.75)
    assert np.allclose(layer.gates["forget"].open, 0.75)
    assert np.allclose(layer.time_constants, -1 / math.log((3 * low + high) / 4), rtol=1e-6)


def test_gates_of_a_trained_shape_are_those_of_torch() -> None:
    """Statistics over a stack, whose second layer reads the first; the gates come from the states of torch."""
    model = gw.init(gw.ModelSpec(inputs=2, layers=[gw.LayerSpec("dense", units=4), gw.LayerSpec("gru", units=5)]), 2)
    x = X[:64]
    (layer,) = gates(model, x).layers
    own = {name: torch.from_numpy(value.copy()).double() for name, value in model.tensors.items()}
    read = torch.from_numpy(x).double() @ own["dense0.weight"].T + own["dense0.bias"]
    cell = torch.nn.GRU(4, 5, dtype=torch.float64)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, f"{name}_l0").data = own[f"gru0.{name}"]
    with torch.no_grad():
        h = torch.cat([torch.zeros(1, 5, dtype=torch.float64), cell(read)[0][:-1]])
        sums = (read @ cell.weight_ih_l0.T + h @ cell.weight_hh_l0.T)[:, :10]
        r, z = torch.sigmoid(sums).chunk(2, dim=1)
    # The state before the second stretch comes from the native run in float32.
    assert np.allclose(layer.gates["reset"].mean, r.mean(0), rtol=1e-6)
    assert np.allclose(layer.gates["update"].mean, z.mean(0), rtol=1e-6)
    assert np.allclose(layer.time_constants, -1 / torch.log(z.mean(0)), rtol=1e-6)


def test_an_lstm_with_all_its_options_steps_with_its_gates() -> None:
    spec = layers.registry.spec("lstm")(units=4, peepholes=True, projection=2)
    drawn = np.random.default_rng(1)
    own = {name: drawn.standard_normal(shape) for name, shape in spec.tensors([Edge(2)]).items()}
    state = {"hidden": drawn.standard_normal((3, 2)), "cell": drawn.standard_normal((3, 4))}
    x = drawn.standard_normal((3, 2))
    found, (_, after) = spec.gates(own, state, x), spec.step(own, state, x)
    assert list(found) == ["input", "forget", "output"]
    bias = own["bias_ih"] + own["bias_hh"]
    g = np.tanh(x @ own["weight_ih"][8:12].T + state["hidden"] @ own["weight_hh"][8:12].T + bias[8:12])
    assert np.allclose(after["cell"], found["forget"] * state["cell"] + found["input"] * g, rtol=1e-12)
    assert np.allclose(after["hidden"], (found["output"] * np.tanh(after["cell"])) @ own["weight_hr"].T, rtol=1e-12)


def test_signed_units_have_the_time_constant_of_their_size() -> None:
    kept = np.array([0.1, 0.5, 0.95])  # a; the factors are 2 a - 1
    model = _constant("rglru", {"decay": np.log(np.expm1(-np.log(kept) / 4))}, signed=True)
    (layer,) = gates(model, X).layers
    assert np.allclose(layer.time_constants[[0, 2]], -1 / np.log([0.8, 0.9]), rtol=1e-4)
    assert layer.time_constants[1] < 0.1


@pytest.mark.parametrize("kind", layers.KINDS)
def test_the_retention_gate_of_each_kind_multiplies_its_state(kind: str) -> None:
    """Without recurrent weights, a change of a unit's state in one step becomes the change times the gate."""
    spec = layers.registry.spec(kind)
    if not spec.recurrent:
        assert spec.retention is None
        return
    model = gw.init(gw.ModelSpec(inputs=2, layers=[gw.LayerSpec(kind, units=3)]), seed=1)
    (node,) = model.graph.nodes
    assert [layer.retention for layer in gates(model, X).layers] == ([spec.retention] if spec.retention else [])
    if spec.retention is None:
        return
    drawn = np.random.default_rng(2)
    own = {name.partition(".")[2]: drawn.standard_normal(shape) for name, shape in model.graph.tensors.items()}
    own |= {name: np.zeros_like(value) for name, value in own.items() if name == "weight_hh"}
    state = {field.name: drawn.standard_normal((4, *field.shape)) for field in node.layer.state(node.edges)}
    x = drawn.standard_normal((4, 2))
    memory = [name for name in state if name == "cell"] or list(state)
    changed = state | {name: state[name] + 0.25 for name in memory}
    before, after = node.layer.step(own, state, x)[1], node.layer.step(own, changed, x)[1]
    apart = np.sqrt(sum((after[name] - before[name]) ** 2 for name in memory))
    found = node.layer.gates(own, state, x)
    assert all(((value >= 0) & (value <= 1)).all() for value in found.values())
    assert np.allclose(apart, found[spec.retention] * 0.25 * len(memory) ** 0.5, rtol=1e-9)


def test_gates_may_be_exactly_open_or_closed() -> None:
    """A hard sigmoid that is 1, except at one step in 32, where it is 0; and units that never and always forget."""
    weight = np.zeros((12, 2))
    weight[3, 0] = -20.0
    gate = {"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}
    biases = {"weight_ih": weight, "bias_ih": np.concatenate([Z, [9, 9, -9], Z, Z])}
    x = (np.arange(320) % 32 == 5).astype(np.float32)[:, None] * np.ones(2, np.float32)
    (layer,) = gates(_constant("lstm", biases, gate_activation=gate), x).layers
    assert np.allclose(layer.time_constants, [-1 / math.log(31 / 32), np.inf, 0], rtol=1e-12)
    assert layer.quantiles.tolist() == [0, layer.time_constants[0], np.inf]


def test_windows_and_whole_sequences() -> None:
    both = gw.bidirectional(gw.LayerSpec("gru", units=3), source="input")
    model = gw.init(gw.ModelSpec(inputs=2, layers=both, context={"window": 50}))
    assert [(layer.layer, layer.kind) for layer in gates(model, X).layers] == [
        ("bidirectional_forward", "gru"),
        ("bidirectional_backward", "gru"),
    ]
    assert gates(model, X, steps=120).steps == 100
    free = model.replace(spec=model.spec.replace(context="carried"))
    assert gates(free, [X[:70], X[70:200], X[200:]], steps=600).steps == 370
    with pytest.raises(InputError, match="steps must be a whole number"):
        gates(model, X, steps=0)

"""State dicts of torch: real files against NumPy in float64, and modules of torch against torch itself."""

import json
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import gatewise as gw
from gatewise import importers
from gatewise.errors import FileError, InputError, MissingExtraError
from importers import forward

AIR = {"order": ["lstm", "bn", "fc.0", "relu", "fc.3"], "last": True, "window": 24}


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_the_air_quality_models_answer_as_an_independent_forward_pass(kind: str, models_dir: Path) -> None:
    path = models_dir / "air-quality-torch-state-dict" / f"best-{kind.upper()}.pth"
    model = importers.load(path, {**AIR, "order": [kind, *AIR["order"][1:]]})  # type: ignore[misc]
    w = {name: value.numpy() for name, value in torch.load(path, weights_only=True).items()}
    x = np.random.default_rng(0).normal(size=(5, 24, 8))
    for sequence in x:
        layer = forward.lstm if kind == "lstm" else forward.rnn
        y = layer(layer(sequence, w, kind, 0), w, kind, 1)[-1]
        y = forward.linear(forward.batch_norm(y, w, "bn"), w, "fc.0")
        y = forward.linear(forward.relu(y), w, "fc.3")
        assert y.shape == (72,)
        assert np.all(np.abs(model.run(sequence)[-1] - y) <= 1e-5 * np.maximum(1, np.abs(y)))


class Net(nn.Module):
    """Modules in a row. What follows the recurrent one reads all steps, or with `last` out[:, -1] or the state."""

    def __init__(self, last: str | None = None, **modules: nn.Module) -> None:
        super().__init__()
        self.last = last
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in self.children():
            if isinstance(module, nn.RNNBase):
                x, state = module(x)
                h = state[0] if isinstance(state, tuple) else state
                if self.last == "out":
                    x = x[:, -1]
                if self.last == "state":
                    x = torch.cat(list(h[-2 if module.bidirectional else -1 :]), -1)
            elif isinstance(module, nn.BatchNorm1d):
                x = module(x.transpose(1, 2)).transpose(1, 2) if x.ndim == 3 else module(x)
            else:
                x = module(x)
        return x


def agree(net: nn.Module, path: Path, spec: Any, width: int, last: bool = False) -> gw.Model:
    """The model from a file answers as torch."""
    model = importers.load(path, spec)
    x = torch.randn(3, 11, width, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = net.eval()(x).numpy()
    found = model.run(x.numpy())
    assert np.abs((found[:, -1] if last else found) - wanted).max() < 2e-6
    return model


def drawn(net: nn.Module) -> nn.Module:
    """The module with random weights, batch normalisation with statistics as after training."""
    torch.manual_seed(3)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if "running_var" in name else torch.randn_like(value) * 0.4)
    return net


NETS: dict[str, tuple[nn.Module, dict[str, Any]]] = {
    "gru": (Net(gru=nn.GRU(4, 6, 2), out=nn.Linear(6, 2)), {"order": ["gru", "out"], "last": False}),
    "lstm without bias": (
        Net(rec=nn.LSTM(4, 6, bias=False), out=nn.Linear(6, 2, bias=False)),
        {"order": ["rec", "out"], "last": False},
    ),
    "relu rnn": (
        Net("out", r=nn.RNN(4, 6, nonlinearity="relu", batch_first=True)),
        {"order": ["r"], "last": True, "window": 11, "nonlinearity": {"r": "relu"}},
    ),
    "bidirectional": (
        Net("out", g=nn.GRU(4, 5, 2, batch_first=True, bidirectional=True), n=nn.LayerNorm(10), o=nn.Linear(10, 3)),
        {"order": ["g", "n", "o"], "last": True, "window": 11},
    ),
    "bidirectional state": (
        Net("state", g=nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True), o=nn.Linear(10, 3)),
        {"order": ["g", "o"], "last": "state", "window": 11},
    ),
    "state": (
        Net("state", g=nn.GRU(4, 5, batch_first=True), o=nn.Linear(5, 3)),
        {"order": ["g", "o"], "last": "state", "window": None},
    ),
    "projection": (
        Net("out", g=nn.LSTM(4, 6, 2, batch_first=True, proj_size=3)),
        {"order": ["g"], "last": True, "window": 11},
    ),
    "norms": (
        Net("out", b=nn.BatchNorm1d(4), g=nn.GRU(4, 5, batch_first=True), c=nn.BatchNorm1d(5), n=nn.LayerNorm(5, 1e-3)),
        {"order": ["b", "g", "c", "n"], "last": True, "window": 11, "eps": {"n": 1e-3}},
    ),
    "activations": (
        Net("out", g=nn.GRU(4, 5, batch_first=True), f=nn.Sequential(nn.Linear(5, 5), nn.LeakyReLU(0.1), nn.Tanh())),
        {"order": ["g", "f.0", {"kind": "leaky_relu", "alpha": 0.1}, "tanh"], "last": True, "window": 11},
    ),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", NETS)
def test_a_state_dict_answers_as_torch(name: str, tmp_path: Path) -> None:
    net, spec = NETS[name]
    drawn(net)
    if not spec["last"]:
        net = _batch_first(net)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    model = agree(net, tmp_path / "w.pth", spec, 4, bool(spec["last"]))
    assert model.spec.context == ({"window": 11} if spec.get("window") else "carried")
    safetensors.torch.save_file(net.state_dict(), tmp_path / "w.safetensors")
    same = importers.load(tmp_path / "w.safetensors", json.dumps(spec))
    assert same.spec == model.spec
    assert all(np.array_equal(same.tensors[key], model.tensors[key]) for key in model.tensors)


def _batch_first(net: nn.Module) -> nn.Module:
    for module in net.children():
        if isinstance(module, nn.RNNBase):
            module.batch_first = True
    return net


@pytest.mark.parametrize(("cell", "kind"), [(nn.LSTMCell, "lstm"), (nn.GRUCell, "gru"), (nn.RNNCell, "rnn")])
def test_cells(cell: Any, kind: str, tmp_path: Path) -> None:
    own = drawn(cell(3, 4))
    torch.save({"cell." + name: value for name, value in own.state_dict().items()}, tmp_path / "w.pth")
    model = importers.load(tmp_path / "w.pth", {"order": ["cell"], "last": False})
    assert [node.kind for node in model.spec.nodes] == [kind]
    x, state = torch.randn(7, 3), None
    for row, found in zip(x, model.run(x.numpy()), strict=True):
        with torch.no_grad():
            state = own(row[None], state)
        h = state[0] if kind == "lstm" else state
        assert np.abs(found - h.numpy()[0]).max() < 1e-6


def test_where_a_state_dict_can_be(tmp_path: Path) -> None:
    net = drawn(_batch_first(Net(lstm=nn.LSTM(4, 5), fc=nn.Linear(5, 2))))
    own, path = net.state_dict(), tmp_path / "w.ckpt"
    spec = {"order": ["lstm", "fc"], "last": False}
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 4)).sum().backward()
    optimiser.step()
    own = OrderedDict((name, value.clone()) for name, value in net.state_dict().items())
    torch.save({"epoch": 3, "state_dict": own, "optimizer_states": [optimiser.state_dict()]}, path)
    model = agree(net, path, spec, 4)
    assert "Not read: epoch, optimizer_states." in importers.origins(model).layers[0].converted[0]
    wrapped = {f"module._orig_mod.{name}": value for name, value in own.items()}
    for saved in (wrapped, {"a": {"model": own}}, {name: nn.Parameter(value) for name, value in own.items()}):
        torch.save(saved, path)
        agree(net, path, spec, 4)
    torch.save(own, path, _use_new_zipfile_serialization=False)
    agree(net, path, spec, 4)
    torch.save(nn.LSTM(4, 5).state_dict(), path)
    assert importers.load(path, {"order": ["module"], "last": False}).spec.nodes[0].name == "module"
    torch.save({"model": own, "ema": own, "best": dict(own)}, path)
    with pytest.raises(FileError, match=r"several state dicts: model \(6 entries\), best .*choose one: spec=.*\"at\""):
        importers.load(path, spec)
    agree(net, path, {**spec, "at": "best"}, 4)
    with pytest.raises(InputError, match="no state dict at 'worst'"):
        importers.load(path, {**spec, "at": "worst"})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types_are_converted_and_noted(dtype: torch.dtype, tmp_path: Path) -> None:
    net = drawn(_batch_first(Net(lstm=nn.LSTM(4, 5), fc=nn.Linear(5, 2)))).to(dtype)
    spec = {"order": ["lstm", "fc"], "last": False}
    torch.save(net.state_dict(), tmp_path / "w.pt")
    safetensors.torch.save_file(net.state_dict(), tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        model = agree(net.float(), tmp_path / name, spec, 4)
        kind = str(dtype).removeprefix("torch.")
        for layer in importers.origins(model).layers:
            assert f"Its numbers are {kind} in the file, and are converted to float32." in layer.converted


def test_tensors_of_a_gpu_are_read_on_the_cpu(tmp_path: Path) -> None:
    net = drawn(Net(fc=nn.Linear(4, 2)))
    torch.save(net.state_dict(), tmp_path / "w.pt")
    with zipfile.ZipFile(tmp_path / "w.pt") as saved, zipfile.ZipFile(tmp_path / "gpu.pt", "w") as made:
        for name in saved.namelist():
            made.writestr(name, saved.read(name).replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0"))
    assert b"cuda:0" in (tmp_path / "gpu.pt").read_bytes()
    agree(net, tmp_path / "gpu.pt", {"order": ["fc"]}, 4)


def test_tied_weights_are_copied(tmp_path: Path) -> None:
    net = drawn(Net(a=nn.Linear(4, 4), b=nn.Linear(4, 4)))
    net.b.weight = net.a.weight
    torch.save(net.state_dict(), tmp_path / "w.pt")
    agree(net, tmp_path / "w.pt", {"order": ["a", "b"]}, 4)


def test_the_record_says_what_was_assumed(tmp_path: Path) -> None:
    net = drawn(Net(r=nn.RNN(4, 5), b=nn.BatchNorm1d(5), fc=nn.Linear(5, 2)))
    torch.save(net.state_dict(), tmp_path / "w.pt")
    record = importers.origins(importers.load(tmp_path / "w.pt", {"order": ["r", "b", "fc"], "last": False}))
    rnn, norm, linear = record.layers
    assert rnn.weights["r.weight_ih"] == ("r.weight_ih_l0",)
    assert rnn.converted == ("A state dict has no nonlinearity: tanh, torch's default, is assumed.",)
    assert norm.converted[0] == "Made of b.weight, b.bias, b.running_mean, b.running_var."
    assert "1e-05, torch's default, is assumed" in norm.converted[1]
    assert linear.converted == ("The scale and shift of b are folded into its weights.",)


def test_the_error_shows_a_spec_that_can_be_passed(tmp_path: Path) -> None:
    net = drawn(
        Net("out", lstm=nn.LSTM(4, 5, batch_first=True), fc=nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 2)))
    )
    path = tmp_path / "w.pt"
    torch.save(net.state_dict(), path)
    with pytest.raises(FileError, match=r"lstm = LSTM\(4 -> 5\); fc.0 = Linear\(5 -> 5\); fc.2") as caught:
        importers.load(path)
    guess = str(caught.value).partition("spec='")[2].removesuffix("'")
    assert json.loads(guess) == {"order": ["lstm", "fc.0", "relu", "fc.2"], "last": True, "window": None}
    agree(net, path, guess, 4, last=True)
    (tmp_path / "spec.json").write_text(guess)
    agree(net, path, tmp_path / "spec.json", 4, last=True)


UNSEEN = "cannot be seen in the file and must be added"
HEADS: dict[str, tuple[dict[str, nn.Module], str | None]] = {
    "one": ({"a": nn.Linear(5, 2)}, None),
    "two": ({"a": nn.Linear(5, 5), "b": nn.Linear(5, 2)}, "here between a and b, cannot"),
    "three": ({name: nn.Linear(5, 5) for name in "abc"}, "between a and b, between b and c, cannot"),
    "normalised": ({"a": nn.Linear(5, 5), "n": nn.BatchNorm1d(5), "b": nn.Linear(5, 2)}, "between a and b, cannot"),
    "gap": ({"a": nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 2))}, None),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_error_says_that_activations_between_linear_modules_cannot_be_seen(name: str, tmp_path: Path) -> None:
    modules, words = HEADS[name]
    path = tmp_path / "w.pt"
    torch.save(Net(lstm=nn.LSTM(4, 5), **modules).state_dict(), path)
    with pytest.raises(FileError) as caught:
        importers.load(path)
    said = str(caught.value)
    assert (UNSEEN in said) == (words is not None)
    assert (words or "") in said
    order = json.loads(said.partition("spec='")[2].removesuffix("'"))["order"]
    with pytest.raises(FileError) as caught:
        importers.load(path, {"order": order})
    assert UNSEEN not in str(caught.value)  # the order is no guess any more


GOOD = {"order": ["lstm", "fc"], "last": True, "window": 5}
BAD: dict[str, tuple[Any, str]] = {
    "unknown key": ({**GOOD, "first": 1}, "unknown key 'first'"),
    "no object": ([], "spec must be a dict"),
    "no JSON": ({**GOOD, "eps": {"bn": b"1"}}, "spec must have plain JSON values"),
    "bad JSON": ("{", "no valid JSON"),
    "unknown name": (
        {**GOOD, "order": ["lstm", "fd"]},
        r"order has 'fd', which is neither a module \(lstm, fc\) nor an activation \(.*relu, tanh.*gelu, .*\)",
    ),
    "twice": ({**GOOD, "order": ["lstm", "lstm"]}, "names 'lstm' twice"),
    "no list": ({**GOOD, "order": "lstm"}, "order must be a list"),
    "left out": ({**GOOD, "order": ["lstm"]}, "leaves out fc"),
    "does not fit": ({**GOOD, "order": ["fc", "lstm"]}, "LSTM.4 -> 5. reads 4 values a step, and there are 2"),
    "half an activation": ({**GOOD, "order": ["lstm", "fc", "leaky_relu"]}, "leaky_relu has two definitions"),
    "last": ({**GOOD, "last": "step"}, "last must be false, true or"),
    "window": ({**GOOD, "window": 0}, "window must be a number of steps"),
    "window of each": ({**GOOD, "last": False}, "leave it out"),
    "nonlinearity": ({**GOOD, "nonlinearity": {"lstm": "relu"}}, "names 'lstm', which is no module of class RNN"),
    "eps": ({**GOOD, "eps": {"bn": 1}}, "names 'bn', which is no module"),
    "ignore": ({**GOOD, "ignore": ["bn"]}, "ignores 'bn'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_spec_that_does_not_fit(name: str, tmp_path: Path) -> None:
    torch.save(Net(lstm=nn.LSTM(4, 5), fc=nn.Linear(5, 2)).state_dict(), tmp_path / "w.pt")
    spec, words = BAD[name]
    with pytest.raises(InputError, match=words):
        importers.load(tmp_path / "w.pt", spec)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "convolution": (nn.Conv1d(3, 4, 2).state_dict(), "'module' .weight .4, 3, 2.*a convolution has such weights"),
    "attention": (nn.MultiheadAttention(4, 2).state_dict(), "in_proj_weight .*not supported.*in_proj_bias"),
    "rms norm": ({"n.weight": torch.ones(4)}, "'n' .*RMSNorm and nn.PReLU"),
    "embedding": ({"embed.weight": torch.ones(4, 4)}, "that of an nn.Embedding"),
    "weight norm": ({"f.weight_g": torch.ones(4, 1), "f.weight_v": torch.ones(4, 4)}, "weight_g .4, 1."),
    "missing layer": (
        {k: v for k, v in nn.LSTM(2, 3, 3).state_dict().items() if "_l1" not in k},
        "suffix '_l1' are missing",
    ),
    "one direction": (
        {k: v for k, v in nn.GRU(2, 3, 2, bidirectional=True).state_dict().items() if not k.endswith("l1_reverse")},
        "'_l1_reverse' are missing",
    ),
    "one bias": ({k: v for k, v in nn.GRU(2, 3).state_dict().items() if k != "bias_hh_l0"}, "one of its two biases"),
    "gates": ({"weight_ih_l0": torch.ones(6, 2), "weight_hh_l0": torch.ones(6, 3)}, "LSTM has 4 rows"),
    "shapes": ({"weight_ih_l0": torch.ones(6, 2), "weight_hh_l0": torch.ones(9, 3)}, "weight_ih has the shape .6, 2."),
    "variance": ({"running_mean": torch.ones(2), "running_var": -torch.ones(2)}, "running_var is negative"),
    "whole numbers": ({"f.weight": torch.ones(2, 2, dtype=torch.int64)}, "whole numbers"),
    "complex": ({"f.weight": torch.ones(2, 2, dtype=torch.complex64)}, "complex64|ComplexFloatStorage"),
    "no tensor": ({"f.weight": torch.ones(2, 2), "f.bias": 3.0}, "'f.bias', a float, which is no tensor"),
    "NaN": ({"f.weight": torch.full((2, 2), torch.nan)}, "'f.weight' has numbers that are not finite"),
    "expanded": ({"f.weight": torch.ones(1).expand(1000, 1000)}, "more than its data"),
    "nothing": ({"epoch": 3}, "no state dict in the file.*keys .'epoch'"),
    "module and wrapper": ({"f.weight": torch.ones(2, 2), "module.f.weight": torch.ones(2, 2)}, "the same tensor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_supported_module_is_named(name: str, tmp_path: Path) -> None:
    state, words = REFUSED[name]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(FileError, match=words):
        importers.load(tmp_path / "w.pt", GOOD)


def test_an_unsupported_module_can_be_ignored(tmp_path: Path) -> None:
    net = drawn(_batch_first(Net(lstm=nn.LSTM(4, 5), fc=nn.Linear(5, 2))))
    torch.save({**net.state_dict(), "module.head.conv.weight": torch.ones(2, 2, 2)}, tmp_path / "w.pt")
    spec = {"order": ["lstm", "fc"], "last": False}
    with pytest.raises(FileError, match=r'"ignore": \["head.conv"\]'):
        importers.load(tmp_path / "w.pt", spec)
    model = agree(net, tmp_path / "w.pt", {**spec, "ignore": ["head"]}, 4)
    assert importers.origins(model).layers[0].converted == ("Ignored, as the spec says: module.head.conv.weight.",)


def test_torch_that_is_missing_or_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(nn.LSTM(4, 5).state_dict(), tmp_path / "w.pt")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(MissingExtraError, match=r"2\.9\.1\+cpu has known holes.*install 2\.10"):
        importers.load(tmp_path / "w.pt")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gatewise\[train\]'"):
        importers.load(tmp_path / "w.pt")


def test_a_model_of_gatewise_is_no_foreign_file(tmp_path: Path) -> None:
    gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=3)])).save(tmp_path / "m.safetensors")
    with pytest.raises(FileError, match="needs no import; open it with gatewise.load"):
        importers.load(tmp_path / "m.safetensors")

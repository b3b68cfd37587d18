"""Layers that need the whole sequence: bidirectional against torch's own, moments and standardising by hand."""

import numpy as np
import pytest
import torch

import gatewise as gw
from gatewise.errors import SpecError, StateError
from gatewise.nn import to_torch

COLUMNS, H = 3, 5
X = np.random.default_rng(2).normal(size=(4, 11, COLUMNS)).astype(np.float32)


def bidirectional(context: object = "carried") -> gw.Model:
    layers = gw.bidirectional(gw.LayerSpec("gru", units=H), source="input")
    return gw.init(gw.ModelSpec(COLUMNS, layers, context=context), seed=5)  # type: ignore[arg-type]


def torch_gru(model: gw.Model) -> torch.nn.GRU:
    gru = torch.nn.GRU(COLUMNS, H, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            for part, suffix in (("forward", ""), ("backward", "_reverse")):
                value = torch.tensor(model.tensors[f"bidirectional_{part}.{name}"])
                getattr(gru, f"{name}_l0{suffix}").copy_(value)
    return gru


def test_bidirectional_is_torchs() -> None:
    model = bidirectional()
    wanted, _ = torch_gru(model)(torch.tensor(X))
    assert np.abs(model.run(X) - wanted.detach().numpy()).max() < 1e-6
    answer, _ = to_torch(model)(torch.tensor(X))
    assert torch.allclose(answer, wanted, rtol=0, atol=1e-6)


def test_each_row_is_reversed_within_its_length() -> None:
    model, lengths = bidirectional(), torch.tensor([11, 4, 1, 7])
    gru = torch_gru(model)
    padded = torch.tensor(X)
    for row, length in enumerate(lengths):
        padded[row, length:] = torch.nan
    answer, _ = to_torch(model)(padded, None, lengths)
    for row, length in enumerate(lengths.tolist()):
        wanted, _ = gru(torch.tensor(X[row : row + 1, :length]))
        assert torch.allclose(answer[row, :length], wanted[0], rtol=0, atol=1e-6)


def test_a_batch_gives_the_bits_of_each_row() -> None:
    model = bidirectional()
    x = np.random.default_rng(0).normal(size=(60, 130, COLUMNS)).astype(np.float32)
    whole = model.run(x)
    assert all(np.array_equal(model.run(row), answer) for row, answer in zip(x, whole, strict=True))


def test_what_needs_whole_sequences_does_not_stream() -> None:
    model = bidirectional()
    for make in (model.stream, lambda: model.pool(3)):
        with pytest.raises(SpecError, match=r"bidirectional_reversed \(reverse\).*last reading.*window"):
            make()
    with pytest.raises(StateError, match="no state between steps"):
        model.run(X, return_state=True)


def test_within_a_window_it_streams() -> None:
    model, carried = bidirectional({"window": 4}), bidirectional()
    stream = model.stream()
    for t in range(X.shape[1]):
        assert np.array_equal(stream.push(X[0, t]), carried.run(X[0, max(0, t - 3) : t + 1])[-1])


def test_a_bidirectional_layer_says_what_it_reads() -> None:
    layer = gw.LayerSpec("gru", units=H)
    with pytest.raises(SpecError, match="source='input'"):
        gw.bidirectional(layer)
    with pytest.raises(SpecError, match=r"without name and sources, .*bidirectional\(LayerSpec\(...\), name='both'"):
        gw.bidirectional(layer.replace(name="a"), source="input")


def test_stacked() -> None:
    first = gw.bidirectional(gw.LayerSpec("gru", units=H), "first", "input")
    second = gw.bidirectional(gw.LayerSpec("gru", units=2), "second", "first")
    assert gw.init(gw.ModelSpec(COLUMNS, [*first, *second])).run(X).shape == (4, 11, 4)


@pytest.mark.parametrize("width", [None, 2])
def test_moments_and_standardising_by_hand(width: int | None) -> None:
    layers = [gw.LayerSpec("moments", "m", width=width), gw.LayerSpec("standardise", "s", ("input", "m"))]
    both = gw.LayerSpec("concat", sources=("m", "s"))
    model = gw.init(gw.ModelSpec(COLUMNS, [*layers, both]))
    x = X * [1.0, 100.0, 0.0] + [0.0, 1e3, 7.0]
    used = x[:, :, :width]
    mean, deviation = used.mean(1, keepdims=True), np.sqrt(used.var(1, keepdims=True) + 1e-5)
    scaled = np.concatenate([(used - mean) / deviation, x[:, :, used.shape[2] :]], 2)
    wanted = np.concatenate([np.broadcast_to(mean, used.shape), np.broadcast_to(deviation, used.shape), scaled], 2)
    assert np.allclose(model.run(x), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([gw.LayerSpec("concat")], "concat joins 2 to 4 edges, got 1"),
        ([gw.LayerSpec("moments", width=4)], "moments has width 4, but the input has 3 columns"),
        ([gw.LayerSpec("standardise")], "standardise reads readings and their moments"),
    ],
)
def test_what_does_not_fit(layers: list[gw.LayerSpec], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        gw.init(gw.ModelSpec(COLUMNS, layers))

"""Costs, against counts by hand."""

import gatewise as gw
from gatewise.measure import cost


def test_cost() -> None:
    layers = [gw.LayerSpec("gru", units=8), gw.LayerSpec("gru", units=5), gw.LayerSpec("dense", units=2)]
    stage = gw.LayerSpec("numeric", width=3, scaling="standard", missing="hold")
    model = gw.init(gw.ModelSpec(input=stage, layers=layers, head=gw.LayerSpec("tail_probability")))
    found = cost(model)
    first, second = 3 * (8 * 3 + 8 * 8), 3 * (5 * 8 + 5 * 5)
    assert [(node.name, node.kind, node.reads, node.writes, node.parameters, node.macs) for node in found.nodes] == [
        ("input", "numeric", (3,), 3, 6, 0),
        ("gru0", "gru", (3,), 8, first + 6 * 8, first),
        ("gru1", "gru", (8,), 5, second + 6 * 5, second),
        ("dense0", "dense", (5,), 2, 12, 10),
        ("head", "tail_probability", (2, 3), 5, 162, 0),
    ]
    assert found.macs == first + second + 10
    assert found.parameters == sum(value.size for value in model.tensors.values())
    assert found.bytes == 4 * found.parameters
    assert found.packed_bytes >= 4 * found.macs
    assert found.state_bytes == 4 * (3 + 8 + 5 + 6 + 4 * 3) == model.stream().state.nbytes
    assert {field.name: field.nbytes for node in found.nodes for field in node.state}["gru1.hidden"] == 20
    assert [node.name for node in found.nodes if node.warnings] == ["head"]

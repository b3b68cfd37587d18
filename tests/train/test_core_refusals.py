"""What the core refuses of the arrays of a training: it is handed them by Python, and must not trust it."""

from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import _core
from gatewise.errors import InputError, SpecError
from gatewise.layers.base import Array

INPUTS = 3


def layer(kind: str) -> tuple[tuple[float, ...], tuple[Array, ...]]:
    """The options and the tensors of a layer of 6 units."""
    model = gw.init(gw.ModelSpec(INPUTS, [gw.LayerSpec(kind, units=6)]))
    return tuple(model.graph.nodes[0].layer.native()), tuple(model.tensors.values())


def test_a_recurrence() -> None:
    options, weights = layer("gru")
    assert _core.train_saved("gru", options, INPUTS, 18, 6, False, None) == 24
    arrays = {
        "x": np.zeros((2, 4, INPUTS), np.float32),
        "first": (np.zeros((2, 6), np.float32),),
        "tensors": weights,
        "lengths": None,
        "resets": None,
        "out": np.zeros((2, 4, 6), np.float32),
        "last": (np.zeros((2, 6), np.float32),),
        "saved": None,
    }
    run: Any = _core.train_forward
    run("gru", options, *arrays.values(), 1, 0, None)
    wrong: list[tuple[str, Any, str]] = [
        ("x", np.zeros((2, 4, INPUTS)), r"out must be C-contiguous float64 \(batch, time, width\), got float32"),
        ("x", np.zeros((2, 4, 7), np.float32), r"tensors must be C-contiguous float32 \(18, 7\), got float32 \(18, 3"),
        ("first", (), "first must consist of 1 arrays, got 0"),
        ("tensors", weights[:2], "tensors must consist of 4 arrays, got 2"),
        ("tensors", (weights[0].T, *weights[1:]), r"tensors\[0\] must be C-contiguous float32 \(rows, 3\)"),
        ("tensors", (*weights[:2], weights[2][:17], weights[3]), r"tensors must be C-contiguous float32 \(18,\)"),
        ("lengths", np.array([1, 5]), "lengths must be from 0 to 4, got 5"),
        ("lengths", np.array([1, -1]), "lengths must be from 0 to 4, got -1"),
        ("lengths", np.array([1.0, 2.0]), "lengths must be C-contiguous int64"),
        ("resets", np.zeros((4, 2), bool), r"resets must be C-contiguous bool \(2, 4\)"),
        ("out", np.zeros((2, 24), np.float32), "out must be"),
        ("out", np.zeros((4, 2, 6), np.float32), r"out must be writable C-contiguous float32 \(2, 4, 6\)"),
        ("saved", np.zeros((4, 2, 23), np.float32), "saved must be writable"),
    ]
    for name, value, words in wrong:
        with pytest.raises(InputError, match=words):
            run("gru", options, *(arrays | {name: value}).values(), 1, 0, None)
    with pytest.raises(InputError, match="shares must be at least 1, got 0"):
        run("gru", options, *arrays.values(), 0, 0, None)
    with pytest.raises(SpecError, match="instruction set 'z80' is not available"):
        run("gru", options, *arrays.values(), 1, 0, "z80")
    with pytest.raises(SpecError, match=r"'dense' has no training kernel \(layers/dense/kernel_train.c\)"):
        _core.train_saved("dense", (), 1, 1, 1, False, None)
    with pytest.raises(SpecError, match="the 3 options of 'gru' do not fit 3 inputs, a first matrix of 18 rows"):
        _core.train_saved("gru", (0.0, 1.0, 2.0), INPUTS, 18, 6, False, None)


def test_a_recurrence_on_the_way_back() -> None:
    options, weights = layer("rnn")
    state, steps = np.zeros((2, 6), np.float32), np.zeros((2, 4, 6), np.float32)
    arrays = {
        "x": np.zeros((2, 4, INPUTS), np.float32),
        "first": (state,),
        "tensors": weights,
        "lengths": None,
        "resets": None,
        "out": steps,
        "saved": np.zeros((4, 2, 0), np.float32),
        "d_out": steps,
        "d_last": (state,),
        "d_x": None,
        "d_first": (state.copy(),),
        "d_tensors": tuple(np.zeros((2, *weight.shape), np.float32) for weight in weights),
    }
    run: Any = _core.train_backward
    run("rnn", options, *arrays.values(), 2, 0, None)
    wrong: list[tuple[str, Any, str]] = [
        ("saved", np.zeros((4, 2, 6), np.float32), r"saved must be C-contiguous float32 \(4, 2, 0\)"),
        ("d_out", steps[:1], r"d_out must be C-contiguous float32 \(2, 4, 6\)"),
        ("d_last", (), "d_last must consist of 1 arrays, got 0"),
        ("d_x", steps, r"d_x must be writable C-contiguous float32 \(2, 4, 3\)"),
        ("d_first", (np.zeros((2, 5), np.float32),), "d_first must be writable"),
        ("d_tensors", weights, r"d_tensors must be writable C-contiguous float32 \(2, 6, 3\), got float32 \(6, 3\)"),
    ]
    for name, value, words in wrong:
        with pytest.raises(InputError, match=words):
            run("rnn", options, *(arrays | {name: value}).values(), 2, 0, None)


def test_a_scan() -> None:
    every, row, width = (np.zeros(shape, np.float32) for shape in ((2, 4, 6), (2, 6), (6,)))
    lengths, resets = np.array([4, 0]), np.zeros((2, 4), bool)
    forward = {"a": every, "b": every, "first": row, "lengths": lengths, "resets": resets, "h": every, "last": row}
    back = {"a": width, "first": row, "lengths": None, "resets": None, "h": every, "d_h": every, "d_last": row}
    back |= {"d_a": row, "d_b": every.copy(), "d_first": row.copy()}
    fixed = np.zeros((2, 4, 6), np.float32)
    fixed.flags.writeable = False
    for run, good in ((_core.scan_forward, forward), (_core.scan_backward, back)):
        run: Any  # type: ignore[no-redef]
        run(False, *good.values(), 1, 0, None)
        run(True, *good.values(), 1, 2, None)
        wrong: list[tuple[str, Any, str]] = [
            ("a", every.astype(float), r"a must be C-contiguous float32 \(2, 4, 6\), got float64 \(2, 4, 6\)"),
            ("a", width[:5], r"a must be C-contiguous float32 \(6,\), got float32 \(5,\)"),
            ("a", row, r"a must be C-contiguous float32 \(2, 4, 6\), got float32 \(2, 6\)"),
            ("b", every[:, ::2], r"b must be C-contiguous float32 \(2, 4, 6\), got float32 \(2, 2, 6\)"),
            ("first", row.T, r"first must be C-contiguous float32 \(2, 6\), got float32 \(6, 2\)"),
            ("lengths", np.array([5, 1]), "lengths must be from 0 to 4, got 5"),
            ("lengths", np.array([5, -1]), "lengths must be from 0 to 4, got 5"),
            ("lengths", np.array([1.0, 2.0]), r"lengths must be C-contiguous int64 \(2,\)"),
            ("lengths", np.array([1]), r"lengths must be C-contiguous int64 \(2,\)"),
            ("resets", resets.T, r"resets must be C-contiguous bool \(2, 4\), got bool \(4, 2\)"),
            ("resets", resets.astype(np.uint8), r"resets must be C-contiguous bool \(2, 4\), got uint8"),
            (
                "h",
                every[0],
                r"h must be .*C-contiguous float32 or float64 \(batch, time, width\), got float32 \(4, 6\)",
            ),
            ("h", every.astype(np.complex64), "h must be .*C-contiguous float32 or float64"),
            ("last", fixed[:, 0], r"last must be writable C-contiguous float32 \(2, 6\)"),
            ("d_h", every[:1], r"d_h must be C-contiguous float32 \(2, 4, 6\), got float32 \(1, 4, 6\)"),
            ("d_last", None, r"d_last must be C-contiguous float32 \(2, 6\), got <class 'NoneType'>"),
            ("d_a", every, r"d_a must be writable C-contiguous float32 \(2, 6\), got float32 \(2, 4, 6\)"),
            ("d_b", fixed, r"d_b must be writable C-contiguous float32 \(2, 4, 6\)"),
            ("d_first", width, r"d_first must be writable C-contiguous float32 \(2, 6\), got float32 \(6,\)"),
        ]
        for name, value, words in wrong:
            if name in good:
                with pytest.raises(InputError, match=words):
                    run(False, *(good | {name: value}).values(), 1, 0, None)
        odd = {
            name: value[..., :5].copy() if hasattr(value, "dtype") and value.shape[-1] == 6 else value
            for name, value in good.items()
        }
        with pytest.raises(InputError, match="complex values are two numbers each, got a width of 5 numbers"):
            run(True, *odd.values(), 1, 0, None)
        with pytest.raises(InputError, match="shares must be at least 1, got 0"):
            run(False, *good.values(), 0, 0, None)
        with pytest.raises(SpecError, match="instruction set 'z80' is not available"):
            run(False, *good.values(), 1, 0, "z80")
    with pytest.raises(InputError, match=r"h must be writable C-contiguous float32 or float64"):
        _core.scan_forward(False, *(forward | {"h": fixed}).values(), 1, 0, None)  # type: ignore[call-arg,arg-type]

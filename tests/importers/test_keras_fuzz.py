"""Keras files with changed bytes, and sound ones with changed descriptions and arrays: a model or an error in words."""

from __future__ import annotations

import copy
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewise.errors import FileError
from gatewise.importers import keras, load
from gatewise.importers.keras import child, files
from hostile.mutations import changed_bytes, changed_plain
from importers.keras_attacks import whole, zipped
from importers.keras_children import read_each
from importers.keras_files import Layer, dense, functional, hdf5, named, numbered, recurrent, sequential

FILES = (whole(), zipped())


@st.composite
def batches(draw: st.DrawFn, count: int = 40) -> list[bytes]:
    """Many changed files, because starting the process that reads them takes the time."""
    return [draw(changed_bytes(draw(st.sampled_from(FILES)))) for _ in range(count)]


def outcome(texts: dict[str, str], arrays: dict[str, Any]) -> str:
    """What becomes of a file with this content. Other errors than FileError are for the test to show."""
    with pytest.MonkeyPatch.context() as patch, tempfile.NamedTemporaryFile() as file:
        file.write(keras.HDF5)
        file.flush()
        patch.setattr(keras, "read_file", lambda path: (texts, arrays))
        try:
            load(file.name)
        except FileError:
            return "refused"
    return "a model"


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(batch=batches())
def test_changed_bytes(batch: list[bytes]) -> None:
    found = Counter[str]()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for ended in read_each(batch, Path(folder)):
            patch.setattr(files, "_run", lambda data, done=ended.done: done)
            try:
                texts, arrays = files._parsed(files._answer(b""))
            except FileError:
                found["refused"] += 1
                continue
            found[outcome(texts, arrays)] += 1
            assert ended.seconds < 3
            assert ended.kilobytes < 1 << 20
    assert found["refused"] > 0


def models() -> list[tuple[dict[str, str], dict[str, Any], dict[str, Any]]]:
    """Texts, arrays and descriptions of models with many kinds of layers."""
    rng = np.random.default_rng(0)
    lstm = recurrent("LSTM", 3, 4, 1, recurrent_activation="hard_sigmoid", return_sequences=True, go_backwards=False)
    ones = {name: np.ones(4, np.float32) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    both = {f"{way}_a/{name}": value for way in ("forward", "backward")
            for name, value in recurrent("GRU", 4, 2, 2, reset_after=True).weights.items()}  # fmt: skip
    wrapped = {"class_name": "GRU", "config": {"units": 2, "reset_after": True, "recurrent_activation": "sigmoid"}}
    layers = named(
        [
            lstm,
            Layer("Dropout", {"rate": 0.1}),
            Layer("BatchNormalization", {"axis": [2], "epsilon": 1e-3}, ones),
            Layer("Bidirectional", {"merge_mode": "ave", "layer": wrapped}, both),
            Layer("Activation", {"activation": "relu"}),
            Layer("LayerNormalization", {"axis": -1}, {name: rng.normal(size=2) for name in ("gamma", "beta")}),
            Layer("ReLU", {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}),
            Layer("Rescaling", {"scale": 2.0, "offset": 1.0}),
            Layer("Reshape", {"target_shape": [2]}),
            dense(2, 1, 3, activation="tanh"),
        ]
    )
    layers[3].config["layer"] = copy.deepcopy(wrapped)
    found = []
    for describe, version in ((sequential, 2), (functional, 2)):
        with tempfile.TemporaryDirectory() as folder:
            hdf5(Path(folder) / "m.h5", layers, describe(layers, (5, 3), version), version)
            texts, arrays = child.contents((Path(folder) / "m.h5").read_bytes())
        found.append((texts, arrays, describe(layers, (5, 3), version)))
    cells = [recurrent("LSTMCell", 3, 2, 6, name="a"), recurrent("SimpleRNNCell", 2, 2, 7, name="b")]
    stacked = {"cells": [{"class_name": each.kind, "config": each.config} for each in cells]}
    weights = {f"{each.config['name']}/{name}": value for each in cells for name, value in each.weights.items()}
    other = named(
        [
            Layer("Normalization", {"axis": [-1], "mean": [1, 2, 3], "variance": [1.0, 4.0, 9.0], "invert": False}),
            Layer("RNN", {"cell": {"class_name": "StackedRNNCells", "config": stacked}}, weights),
            Layer("Reshape", {"target_shape": [2, 1]}),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        hdf5(Path(folder) / "m.h5", other, sequential(other, (5, 3), 2))
        texts, arrays = child.contents((Path(folder) / "m.h5").read_bytes())
    found.append((texts, arrays, sequential(other, (5, 3), 2)))
    small = named([recurrent("GRU", 3, 2, 4, reset_after=True, recurrent_activation="sigmoid"), dense(2, 1, 5)])
    _, arrays = child.contents(numbered(small))
    described = functional(small, (5, 3), 3)
    found.append(({"config": json.dumps(described), "metadata": '{"keras_version": "3.4.1"}'}, arrays, described))
    return found


MODELS = models()


@pytest.mark.parametrize("model", MODELS, ids=["Sequential", "Model", "cells", "Keras 3"])
def test_unchanged_it_is_a_model(model: tuple[dict[str, str], dict[str, Any], dict[str, Any]]) -> None:
    assert outcome(*model[:2]) == "a model"


@st.composite
def forged(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, Any]]:
    """A model with something else in its description, or among its arrays."""
    texts, arrays, described = draw(st.sampled_from(MODELS))
    if draw(st.integers(0, 3)):
        for _ in range(draw(st.sampled_from((1, 1, 2, 4)))):
            described = draw(changed_plain(described))
        texts = {**texts, "config" if "config" in texts else "model_config": json.dumps(described)}
        return texts, arrays
    names = st.sampled_from(sorted(arrays))
    name, changed = draw(names), dict(arrays)
    match draw(st.integers(0, 3)):
        case 0:
            del changed[name]
        case 1:
            changed[draw(names) + draw(st.sampled_from(("", "x", "/vars/0")))] = changed.pop(name)
        case 2:
            changed[name] = np.zeros(draw(st.lists(st.integers(0, 9), max_size=4)), draw(st.sampled_from("fdiIB?")))
        case _:
            changed[name] = np.full_like(changed[name], draw(st.sampled_from((np.nan, np.inf, -1e30, 0.0))))
    return texts, changed


def test_changed_descriptions_and_arrays() -> None:
    found = Counter[str]()

    @settings(max_examples=1500)
    @given(content=forged())
    def each(content: tuple[dict[str, str], dict[str, Any]]) -> None:
        found[outcome(*content)] += 1

    each()
    assert 50 < found["a model"] < 1200, "some changes do not matter, and most do"
    assert found["refused"] > 300


def test_a_matrix_of_an_activation_alone_is_bounded() -> None:
    """Else a few bytes of description could ask for gigabytes."""
    described = sequential(named([Layer("Activation", {"activation": "tanh"})]), (3, 1 << 20), 2)
    with pytest.raises(FileError, match="matrices of 1,099,511,627,776 numbers in all, more than 16,777,216"):
        keras._chain({"model_config": json.dumps(described)}, {}, {})

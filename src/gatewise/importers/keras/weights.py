"""The weights of each layer among the arrays of a file, in all layouts in which Keras has written them.

The layouts::

    model_weights/lstm_1/lstm_1/kernel:0    Keras 1 and 2, HDF5; TensorFlow puts lstm_cell/ before kernel
    model_weights/lstm/sequential/lstm/lstm_cell/kernel     Keras 3, HDF5
    lstm_1/lstm_1/kernel:0                  HDF5 of weights alone, `save_weights`
    layers/lstm/cell/vars/0                 Keras 3, .keras and .weights.h5: layers by class, weights by number
    _layer_checkpoint_dependencies/lstm/cell/vars/0         the same in TensorFlow 2.12
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gatewise.errors import FileError
from gatewise.importers.keras.config import Layer
from gatewise.layers.base import Array

NUMBERED = ("layers", "_layer_checkpoint_dependencies")
"""The groups that have the layers by class and number, and their weights by number."""
RANDOM = re.compile(r"(^|/)seed_generator(/|_state)")
"""In the path of the state of a random generator, which only dropout uses."""
TRAINING = re.compile(r"([a-z_]*metrics|_?loss_tracker)/")
"""At the beginning of the path of the state of metrics, where layers are in groups of their own."""


class Stored:
    """The arrays of one layer, or of a part of it.

    Args:
        where: the layer, for messages.
        arrays: path within the layer -> path in the file and array.
        used: paths in the file that were taken already; `take` adds to them.
        numbered: whether the weights have numbers and not names.
    """

    def __init__(self, where: str, arrays: Mapping[str, tuple[str, Array]], used: set[str], numbered: bool) -> None:
        self.where, self.arrays, self.used, self.numbered = where, arrays, used, numbered

    def take(self, *names: str) -> list[tuple[str, Array]]:
        """Path in the file and array of each weight.

        Args:
            names: the names that Keras gives them, in the order in which Keras numbers them.

        Raises:
            FileError: one is missing, or not unique.
        """
        if self.numbered:
            ordered = sorted(self.arrays, key=lambda path: [int(part) for part in re.findall(r"\d+$", path)])
            if len(ordered) != len(names):
                self._fail(f"must have the {len(names)} weights {', '.join(names)}")
            found = [self.arrays[path] for path in ordered]
        else:
            found = [self.arrays[self._named(name)] for name in names]
        self.used |= {path for path, _ in found}
        return found

    def has_old(self, name: str) -> bool:
        """Whether there is a weight of this name of Keras 1, such as "W", with the name of the layer before it."""
        return not self.numbered and any(_name(path).endswith(f"_{name}") for path in self.arrays)

    def has_old_gates(self) -> bool:
        """Whether each gate has a matrix of its own, as in Keras 1: "W_i" of an LSTM, "W_z" of a GRU."""
        return self.has_old("W_i") or self.has_old("W_z")

    def check(self, value: Array, shape: tuple[int | None, ...]) -> None:
        """Raise FileError unless a weight has this shape, in which None is any size."""
        sizes = zip(value.shape, shape, strict=False)
        if len(value.shape) != len(shape) or any(size != wanted for size, wanted in sizes if wanted is not None):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise FileError(f"{self.where}: a weight has the shape {value.shape}, and its options ask for ({wanted})")

    def group(self, name: str, stored: str) -> Stored:
        """The arrays in the group of a cell, which has its name, or that under which .keras files store it."""
        own = stored if self.numbered else name
        arrays = {path: found for path, found in self.arrays.items() if own in path.split("/")}
        return Stored(self.where, arrays, self.used, self.numbered)

    def part(self, prefix: str, inside: bool = True) -> Stored:
        """The arrays in, or outside of, groups whose name begins with `prefix`."""
        arrays = {
            path: found
            for path, found in self.arrays.items()
            if any(part.startswith(prefix) for part in path.split("/")) == inside
        }
        return Stored(self.where, arrays, self.used, self.numbered)

    def _named(self, name: str) -> str:
        paths = [path for path in self.arrays if _name(path) == name]
        if not paths:  # Keras 1 puts the name of the layer before it: lstm_1_W_i
            paths = [path for path in self.arrays if re.search(rf"_{re.escape(name)}$", _name(path))]
            paths = [] if name in ("kernel", "bias") else paths
        if len(paths) != 1:
            self._fail(f"must have one weight {name}")
        return paths[0]

    def _fail(self, must: str) -> None:
        found = ", ".join(path for path, _ in list(self.arrays.values())[:8]) or "none"
        raise FileError(f"{self.where} {must}, and the file has {found}")


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition(":")[0]


class Store:
    """All arrays of a file, by layer.

    Args:
        arrays: path -> array.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = {path: value for path, value in arrays.items() if not RANDOM.search(path)}
        self.used: set[str] = set()
        groups = {path.partition("/")[0] for path in self.arrays}
        self.numbered = any("/vars/" in path and path.partition("/")[0] in NUMBERED for path in self.arrays)
        if self.numbered:
            self.arrays = {path: value for path, value in self.arrays.items() if not TRAINING.match(path)}
        tops = NUMBERED if self.numbered else ("model_weights",)
        self.top = next((f"{top}/" for top in tops if top in groups), "")

    def of(self, layer: Layer) -> Stored:
        """The arrays of a layer."""
        prefix = f"{self.top}{layer.stored if self.numbered else layer.name}/"
        arrays = {
            path.removeprefix(prefix).removeprefix(f"{layer.name}/"): (path, value)
            for path, value in self.arrays.items()
            if path.startswith(prefix)
        }
        return Stored(f"layer {layer.name!r} ({layer.kind})", arrays, self.used, self.numbered)

    def check_used(self) -> None:
        """Raise FileError if a weight was not taken by any layer."""
        if unused := [path for path in self.arrays if path not in self.used]:
            raise FileError(
                f"{len(unused)} weights in the file belong to no layer of the model, the first is {unused[0]!r}; "
                "the description of the model and its weights do not fit together"
            )

"""Chain: collects the layers of a foreign model in the order in which they run, and makes a `Model` of them.

The importers translate the layers of their format to those of gatewise. What all formats have in common is here: nodes
get names, activations become options of the layer before them, dropout disappears, and an affine map such as batch
normalisation in inference, y = scale * x + shift, is folded into a neighbouring layer::

    after a dense layer without an activation    W' = scale * W by rows        b' = scale * b + shift
    before a layer that reads W x + b            W' = W * scale by columns     b' = b + W shift

Both are exact up to rounding. They are computed in float64 and then rounded to float32. A map of the readings
themselves becomes the scaling of the input stage, (x - offset) / scale, with offset = -shift / scale. If it were folded
into W, readings far from zero would lose digits that the foreign library keeps, because it subtracts first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatewise.errors import FileError
from gatewise.importers.origins import KEY, Imported, Origin
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import LayerSpec, ModelSpec

READS = (("weight_ih", "bias_ih"), ("weight", "bias"))
"""The matrix that multiplies the input of a layer, and the bias that is added, by kind of layer."""

MERGES = {"concat": "concat", "sum": "add", "mul": "multiply", "ave": "add"}
"""How the two directions of a bidirectional layer are merged, as Keras calls it -> the kind of node that does it."""

MOST_IDENTITIES = 1 << 24
"""Most numbers in matrices that only carry an activation or an affine map, which a small file could make large."""


@dataclass(frozen=True)
class Weights:
    """The tensors of one layer of gatewise, and where they came from.

    Attributes:
        tensors: short name, e.g. "weight_ih" -> array, in the layout of the layer of gatewise.
        sources: short name -> names of the foreign tensors from which it was made; missing = made up, e.g. a zero bias.
    """

    tensors: Mapping[str, Array]
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Affine:
    """A map scale * x + shift that is not yet a part of a layer.

    Attributes:
        scale, shift: (width,) float64.
        origins: the numbers of the foreign layers that it comes from, and the names of their foreign tensors.
    """

    scale: Array
    shift: Array
    origins: tuple[tuple[int, tuple[str, ...]], ...]


class Chain:
    """A foreign model while it is translated.

    Args:
        format: the format for people, e.g. "Keras HDF5".
        inputs: number of values in one step of the input.
        window: number of steps of the input, if it is fixed.
        written_by: the library that wrote the file, with its version.

    Attributes:
        width: number of values in one step that the last layer writes.
        answers_last: whether only the last step of the sequence remains.
    """

    def __init__(self, format: str, inputs: int, window: int | None = None, written_by: str | None = None) -> None:
        self.format, self.inputs, self.window, self.written_by = format, inputs, window, written_by
        self.width = inputs
        self.answers_last = False
        self._nodes: list[LayerSpec] = []
        self._tensors: dict[str, dict[str, Array]] = {}  # node -> short name -> array
        self._origins: list[Origin] = []
        self._affine: _Affine | None = None  # what the next layer has to take up
        self._stage: dict[str, Array] = {}  # tensors of the input stage
        self._activates: str | None = None  # the node that the next activation can become an option of
        self._last = "input"
        self._identities = 0  # numbers in the matrices of `_diagonal`

    def nothing(self, name: str, kind: str, why: str) -> None:
        """A layer that does nothing in inference, such as dropout. `why` is a sentence for the record."""
        self._origins.append(Origin(name, kind, converted=(why,)))

    def layer(
        self,
        name: str,
        kind: str,
        layer: LayerSpec,
        weights: Weights,
        converted: Sequence[str] = (),
        *,
        width: int,
        activates: bool = False,
        backwards: bool = False,
        restored: bool = False,
    ) -> None:
        """A layer that becomes one node.

        Args:
            name, kind: of the foreign layer.
            layer: the node, without a name and sources.
            weights: its tensors.
            converted: a sentence for each convention that was converted.
            width: number of values in one step that it writes.
            activates: whether a following activation can become its option `activation`.
            backwards: whether it reads the sequence from its end to its beginning. What it writes stays in that order,
                unless `restored` is true.
            restored: whether what it writes backwards is put in the order of the sequence again.
        """
        self._scale_inputs()
        if self._affine is not None and not _reads_matrix(weights.tensors):
            self._diagonal(f"{name}_scaled")
        own, folded = self._folded(weights.tensors)
        affine = self._affine
        source = self._add(f"{name}_reversed", LayerSpec("reverse"), self._last, {}) if backwards else self._last
        node = self._add(name, layer, source, own)
        nodes = [source, node] if backwards else [node]
        if restored:
            nodes.append(self._add(f"{name}_restored", LayerSpec("reverse"), node, {}))
        self._record(name, kind, nodes, {node: weights}, [*folded, *converted])
        self._taken_up(affine, node)
        self._last, self.width, self._activates = nodes[-1], width, node if activates else None

    def bidirectional(
        self,
        name: str,
        kind: str,
        layers: tuple[LayerSpec, LayerSpec],
        weights: tuple[Weights, Weights],
        converted: Sequence[str] = (),
        *,
        width: int,
        merge: str = "concat",
        last: bool = False,
    ) -> None:
        """A layer of which one copy reads the sequence as it is and another in reverse.

        Args:
            name, kind, converted: as for `layer`.
            layers: the nodes that read forward and in reverse, without names and sources.
            weights: the tensors of both.
            width: number of values in one step that each direction writes.
            merge: how the outputs are merged, a key of `MERGES`.
            last: whether each direction gives only the output after its own last step, as in a Keras layer with
                `return_sequences=False`; for the reverse direction this is the first step of the sequence.
        """
        self._scale_inputs()
        own = [self._folded(each.tensors) for each in weights]
        affine = self._affine
        forward = self._add(f"{name}_forward", layers[0], self._last, own[0][0])
        reversed_ = self._add(f"{name}_reversed", LayerSpec("reverse"), self._last, {})
        backward = end = self._add(f"{name}_backward", layers[1], reversed_, own[1][0])
        nodes = [forward, reversed_, backward]
        if not last:
            end = self._add(f"{name}_restored", LayerSpec("reverse"), backward, {})
            nodes.append(end)
        merged = self._add(name, LayerSpec(MERGES[merge], sources=(forward, end)), None, {})
        self._record(
            name, kind, [*nodes, merged], {forward: weights[0], backward: weights[1]}, [*own[0][1], *converted]
        )
        self._taken_up(affine, forward, backward)
        self._last, self.width, self._activates = merged, width * (2 if merge == "concat" else 1), None
        if merge == "ave":
            self._affine = _Affine(np.full(width, 0.5), np.zeros(width), ())
        if last:
            self.last()

    def affine(
        self,
        name: str,
        kind: str,
        scale: Array,
        shift: Array,
        converted: Sequence[str] = (),
        *,
        sources: Sequence[str] = (),
    ) -> None:
        """The map scale * x + shift, (width,) each: batch normalisation in inference, a scaling.

        Args:
            name, kind, converted: as for `layer`.
            scale, shift: of the map.
            sources: names of the foreign tensors from which they were made.
        """
        scale, shift = np.asarray(scale, np.float64), np.asarray(shift, np.float64)
        node = self._activates
        if node is not None and "weight" in self._tensors[node]:
            own = self._tensors[node]
            own["weight"] = own["weight"] * scale[:, None]
            own["bias"] = own["bias"] * scale + shift
            note = f"Its scale and shift are folded into the weights of {node}, the layer before it."
            self._origins.append(Origin(name, kind, converted=(*converted, note)))
            self._taken_up(_Affine(scale, shift, ((len(self._origins) - 1, tuple(sources)),)), node)
            return
        before = self._affine or _Affine(np.ones(self.width), np.zeros(self.width), ())
        self._origins.append(Origin(name, kind, converted=tuple(converted)))
        origins = (*before.origins, (len(self._origins) - 1, tuple(sources)))
        self._affine = _Affine(scale * before.scale, scale * before.shift + shift, origins)
        self._activates = None

    def activation(self, name: str, kind: str, activation: Any, converted: Sequence[str] = ()) -> None:
        """An activation as a layer of its own: a name, or a dict with a kind and parameters, as in `LayerSpec`."""
        if activation == "linear":
            self.nothing(name, kind, "A linear activation changes nothing.")
            return
        if self._activates is None or self._affine is not None:
            self._diagonal(f"{name}_values")
        assert self._activates is not None
        node = self._activates
        at = [each.name for each in self._nodes].index(node)
        self._nodes[at] = self._nodes[at].replace(activation=activation)
        note = f"It is the activation of {node}."
        self._origins.append(Origin(name, kind, (node,), converted=(*converted, note)))
        self._activates = None

    def last(self) -> None:
        """From here on only the last step of the sequence remains."""
        self.answers_last = True

    def model(self, file: str, sha256: str) -> Model:
        """The model, with the record of the import in its provenance.

        Raises:
            FileError: there is no layer.
            SpecError: the layers or weights do not fit together.
        """
        if self._affine is not None:
            self._diagonal("output")
        if not self._nodes:
            raise FileError("the model has no layer that computes something")
        window = self.window if self.answers_last else None
        stage = LayerSpec("numeric", width=self.inputs, scaling="standard" if self._stage else "none")
        context = "carried" if window is None else {"window": window}
        spec = ModelSpec(input=stage, layers=self._nodes, context=context)
        tensors = {
            f"{node}.{short}": np.ascontiguousarray(value, np.float32)
            for node, own in {"input": self._stage, **self._tensors}.items()
            for short, value in own.items()
        }
        answers = "last" if self.answers_last else "each"
        record = Imported(self.format, self.written_by, file, sha256, answers, tuple(self._origins))
        return Model(spec, tensors, {KEY: record.to_dict()})

    def _add(self, name: str, layer: LayerSpec, source: str | None, tensors: Mapping[str, Array]) -> str:
        """Append a node under a name that is unique and an identifier; returns the name."""
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)[:48] or layer.kind
        base = base if re.match(r"[A-Za-z_]", base) else f"_{base}"
        taken = {node.name for node in self._nodes} | {"input", "head", "task", "window"}
        unique, count = base, 2
        while unique in taken:
            unique, count = f"{base}_{count}", count + 1
        named = layer.replace(name=unique, **({} if source is None else {"sources": (source,)}))
        self._nodes.append(named)
        self._tensors[unique] = {short: np.asarray(value, np.float64) for short, value in tensors.items()}
        return unique

    def _record(
        self, name: str, kind: str, nodes: Sequence[str], weights: Mapping[str, Weights], converted: Sequence[str]
    ) -> None:
        came = {
            f"{node}.{short}": tuple(sources) for node, own in weights.items() for short, sources in own.sources.items()
        }
        self._origins.append(Origin(name, kind, tuple(nodes), came, tuple(converted)))
        self._affine = None

    def _folded(self, tensors: Mapping[str, Array]) -> tuple[Mapping[str, Array], list[str]]:
        """The tensors of a layer that takes up the pending affine map, and a sentence for the record, if any."""
        if self._affine is None:
            return tensors, []
        matrix, bias = _reads_matrix(tensors) or READS[0]
        weight = np.asarray(tensors[matrix], np.float64)
        folded = {
            matrix: weight * self._affine.scale,
            bias: np.asarray(tensors[bias], np.float64) + weight @ self._affine.shift,
        }
        named = " and ".join(self._origins[at].name for at, _ in self._affine.origins) or "the layer before it"
        return {**tensors, **folded}, [f"The scale and shift of {named} are folded into its weights."]

    def _scale_inputs(self) -> None:
        """Let the input stage compute the pending affine map, if it reads the inputs, and its scale is positive."""
        affine = self._affine
        if affine is None or self._last != "input" or not (affine.scale > 0.0).all():
            return
        self._stage = {"offset": -affine.shift / affine.scale, "scale": 1.0 / affine.scale}
        self._affine = None
        for at, sources in affine.origins:
            weights = dict.fromkeys(("input.offset", "input.scale"), sources) if sources else {}
            note = "The input stage computes it, as (x - offset) / scale."
            before = self._origins[at]
            self._origins[at] = replace(
                before, becomes=("input",), weights=weights, converted=(*before.converted, note)
            )

    def _taken_up(self, affine: _Affine | None, *nodes: str) -> None:
        """Record at the origins of an affine map which nodes took it up."""
        for at, sources in () if affine is None else affine.origins:
            names = [
                f"{node}.{short}" for node in nodes for short in _reads_matrix(self._tensors[node]) or () if sources
            ]
            self._origins[at] = replace(self._origins[at], becomes=nodes, weights=dict.fromkeys(names, sources))

    def _diagonal(self, name: str) -> None:
        """A dense layer that computes the pending affine map, or the identity."""
        self._identities += self.width**2
        if self._identities > MOST_IDENTITIES:
            raise FileError(
                f"its activations and scalings need matrices of {self._identities:,} numbers in all, more than "
                f"{MOST_IDENTITIES:,}"
            )
        self._scale_inputs()
        affine = self._affine or _Affine(np.ones(self.width), np.zeros(self.width), ())
        tensors = {"weight": np.diag(affine.scale), "bias": affine.shift}
        node = self._add(name, LayerSpec("dense", units=self.width), self._last, tensors)
        self._taken_up(affine, node)
        self._affine, self._last, self._activates = None, node, node


def _reads_matrix(tensors: Mapping[str, Array]) -> tuple[str, str] | None:
    """Names of the matrix and the bias by which a layer reads W x + b; None if it reads its input in another way."""
    return next((pair for pair in READS if np.ndim(tensors.get(pair[0], ())) == 2), None)

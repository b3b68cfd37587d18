"""From an ONNX graph to a `Chain`.

The nodes are visited in order. What can be known without running the model is evaluated (`known`); a value that is
computed from an input of the graph becomes a `Flow`, which knows the meaning of its axes and the steps of the chain
that lead to it. An error of a node counts only if an answer of the model needs its outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from gatewise.errors import FileError, InputError
from gatewise.importers.chain import Chain
from gatewise.importers.onnx.flow import Flow, Recurrence, Step
from gatewise.importers.onnx.graph import Node, OnnxGraph
from gatewise.importers.onnx.known import MOST_NUMBERS, Axis, evaluate
from gatewise.importers.onnx.moves import MOVES
from gatewise.importers.onnx.parts import Parts, join, parts_of, pick
from gatewise.importers.onnx.plain import plain
from gatewise.importers.onnx.recurrent import OPERATORS, recurrent
from gatewise.layers.base import Array
from gatewise.spec import short

KEYS = {
    "output": "which output of the graph is the answer",
    "window": "number of steps of a sequence, for a graph with one answer for sequences of any length",
    "ignore": "constants of the graph that are not needed for the answer",
}
MOST_PLACES = 1 << 18
"""Most numbers of inputs that can be a state."""

MOST_STEPS = 500
UNFIT = (ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError, OverflowError, ZeroDivisionError)
"""Errors of NumPy and Python when the attributes and inputs of a node do not fit it."""


def translate(graph: OnnxGraph, told: Mapping[str, Any]) -> Chain:
    """The chain of a graph.

    Raises:
        FileError: there is something in it that gatewise does not import.
        InputError: the spec does not fit the graph.
    """
    values = _Values(graph)
    for node in graph.nodes:
        values.visit(node)
    answer = _answer(values, told)
    flow = values.flows[answer]
    found = [step.recurrence for step in flow.steps() if step.recurrence is not None]
    if not found:
        raise FileError(f"no RNN, GRU or LSTM leads to the output {answer!r}; gatewise imports recurrent models")
    state = _carried(values, found, flow)
    notes = _other_outputs(values, answer, told, state)
    _check_unused(values, answer, told)
    kinds = sorted({graph.types[name] for step in flow.steps() for name in step.node.inputs if name in graph.types})
    notes += [f"Constants that are {kind} in the file are converted to float32." for kind in kinds]
    if len(flow.steps()) > MOST_STEPS:
        raise FileError(f"the graph has {len(flow.steps())} nodes in a row, and at most {MOST_STEPS} are imported")
    time = found[0].time
    chain = Chain("ONNX", _inputs(flow.start), _window(time, told, bool(state)), graph.written_by)
    for note in notes:
        chain.nothing("graph", "ONNX", note)
    for step in flow.steps():
        if step.recurrence is not None and chain.answers_last:
            raise FileError(f"{step.node} reads a single step that an earlier node took; gatewise cannot run that")
        if step.cell:
            raise FileError(f"the output {answer!r} is the cell of {step.node}, and gatewise answers with its output")
        step.add(chain)
    if time.size == 1 and not state:
        chain.last()  # each call begins anew, and reads one step
    return chain


class _Values:
    """The values of the graph by name.

    Attributes:
        known: what can be known without running the model.
        places: those of them that are places of inputs.
        flows: what is computed from an input.
        parts: final states of several layers in one array.
        failures: why an output of a node cannot be translated.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.known: dict[str, Array] = dict(graph.constants)
        self.places: set[str] = set()
        self.flows: dict[str, Flow] = {}
        self.parts: dict[str, Parts] = {}
        self.failures: dict[str, FileError] = {}
        self.made = 0  # numbers of evaluated arrays
        first = 0
        for name, shape in graph.inputs.items():
            self.flows[name] = Flow(name, tuple(Axis(size) for size in shape))
            sizes = [size or 1 for size in shape]
            if shape and np.prod([float(size) for size in sizes]) + first <= MOST_PLACES:
                count = int(np.prod(sizes))
                self.known[name] = np.arange(first, first + count).reshape(sizes)
                self.places.add(name)
                first += count

    def visit(self, node: Node) -> None:
        """Translate a node. An error is kept for those who need its outputs.

        Raises:
            FileError: the name of an output is taken.
        """
        for name in node.outputs:
            if name and any(name in each for each in (self.known, self.flows, self.parts, self.failures)):
                raise FileError(f"{node} gives {name[:80]!r}, which something before it has given")
        for translated in (self._evaluate, self._compute):
            try:
                translated(node)
            except FileError as error:
                self._fails(node, error)
            except UNFIT as error:
                self._fails(node, FileError(f"{node} has attributes or inputs that do not fit: {str(error)[:200]}"))

    def _fails(self, node: Node, error: FileError) -> None:
        for name in node.outputs:
            self.failures.setdefault(name, error)

    def constants(self, node: Node) -> list[Array | None]:
        """The inputs of a node that are constants; None for others."""
        return [None if name in self.places else self.known.get(name) for name in node.inputs]

    def _evaluate(self, node: Node) -> None:
        if node.op == "Shape" and node.input(0) in self.flows:
            node.only("start", "end")
            axes = self.flows[node.inputs[0]].axes[node.attributes.get("start", 0) : node.attributes.get("end")]
            self.known[node.outputs[0]] = np.array([*axes, None], object)[:-1]
            return
        if not all(name in self.known for name in node.inputs if name) or node.op in OPERATORS:
            return
        moved = [name for name in node.inputs if name in self.places]
        data = node.inputs if node.op == "Concat" else node.inputs[:1]
        if moved and (set(moved) - set(data) or (node.op == "Concat" and len(moved) != len(node.inputs))):
            return
        found = evaluate(node, [self.known[name] if name else None for name in node.inputs])
        self.made += sum(value.size for value in found or [])
        if self.made > MOST_NUMBERS:
            raise FileError(f"{node} and others before it make more than {MOST_NUMBERS:,} constant numbers")
        for name, value in zip(node.outputs, found or [], strict=False):
            self.known[name] = value
            self.places |= {name} if moved else set()

    def _compute(self, node: Node) -> None:
        for name in node.inputs:
            if name and not any(name in each for each in (self.flows, self.known, self.parts)):
                raise self.failures.get(name) or FileError(f"{node} reads {name[:80]!r}, which nothing before it gives")
        if node.op == "Shape" or not any(name in self.flows or name in self.parts for name in node.inputs):
            if not all(name in self.known for name in node.outputs if name):
                self._refuse(node)
            return
        if node.op in OPERATORS:
            self._recurrent(node)
            return
        if self._states(node):
            return
        values = self.constants(node)
        computed = [i for i, name in enumerate(node.inputs) if name and values[i] is None]
        if len(computed) != 1 or node.inputs[computed[0]] not in self.flows:
            self._refuse(node, [node.inputs[i] for i in computed])
        at = computed[0]
        x = self.flows[node.inputs[at]]
        if node.op in MOVES and at == 0:
            axes, last = MOVES[node.op](node, x.axes, values)
            self.flows[node.outputs[0]] = x.then(axes, _selects(node) if last else None)
        else:
            self.flows[node.outputs[0]] = plain(node, x, at, values)

    def _recurrent(self, node: Node) -> None:
        x = self.flows.get(node.input(0))
        if x is None:
            self._refuse(node, [node.input(0)])
        values = self.constants(node)
        constants = {at: value for at, value in enumerate(values) if value is not None}
        places = {at: self.known[name] for at, name in enumerate(node.inputs) if name in self.places and at in (5, 6)}
        for name, output in zip(node.outputs, recurrent(node, x, constants, places), strict=False):
            if name:
                self.flows[name] = output
        for name, at in zip(node.outputs[1:], (5, 6), strict=False):
            if name and at in places:
                self.known[name] = places[at]
                self.places.add(name)

    def _states(self, node: Node) -> bool:
        """Translate a node that joins or picks final states of layers; whether it is one."""
        found: Flow | Parts | None = None
        if node.op == "Concat":
            found = join(node, self.flows, self.parts)
        elif node.op == "Gather":
            name = node.input(0)
            own = self.parts.get(name) or (parts_of(self.flows[name]) if name in self.flows else None)
            found = None if own is None else pick(node, own, self.constants(node))
        if isinstance(found, Flow):
            self.flows[node.outputs[0]] = found
        elif found is not None:
            self.parts[node.outputs[0]] = found
        return found is not None

    def _refuse(self, node: Node, names: list[str] | None = None) -> NoReturn:
        """Raise an error about inputs that cannot be used together."""
        if names and len(names) > 1:
            joined = ", ".join(name[:80] for name in names)
            raise FileError(f"{node} joins several computed values ({joined}); gatewise imports nodes in a row")
        raise FileError(f"{node} is an operator that gatewise does not import here")


def _selects(node: Node) -> Step:
    return Step(node, lambda chain: chain.last(), selects=True)


def _answer(values: _Values, told: Mapping[str, Any]) -> str:
    """The output that the model answers with: the first that is no state. Raises FileError, InputError."""
    outputs = values.graph.outputs
    if "output" in told:
        if told["output"] not in outputs:
            raise InputError(f"output is {short(told['output'])}, and the graph has {', '.join(outputs)}")
        outputs = [told["output"]]
    answers = [name for name in outputs if name not in values.places] or list(outputs)
    if not answers:
        raise FileError("the graph has no output")
    if answers[0] not in values.flows:
        raise values.failures.get(answers[0]) or FileError(
            f"the output {answers[0][:80]!r} is not computed from an input"
        )
    return answers[0]


def _inputs(start: Flow) -> int:
    """The number of values in one step of an input. Raises FileError if an axis has no meaning."""
    features = [axis for axis in start.axes if axis.kind == "features"]
    odd = [axis for axis in start.axes if axis.kind is None and axis.size != 1]
    if odd or len(features) != 1 or features[0].size is None:
        sizes = ", ".join(f"{axis.kind or 'unknown'} {axis.size or '?'}" for axis in start.axes)
        raise FileError(f"the input {start.root[:80]!r} has the axes {sizes}; batch, time and features are expected")
    return features[0].size


def _window(time: Axis, told: Mapping[str, Any], carried: bool) -> int | None:
    """The number of steps of a sequence, if it is fixed. Raises InputError."""
    window = told.get("window")
    if window is not None:
        if isinstance(window, bool) or not isinstance(window, int) or not 1 <= window <= 1 << 20:
            raise InputError(f"window must be a number of steps, got {short(window)}")
        if carried or time.size not in (None, window):
            raise InputError(
                f"window is {window}, and the graph {'carries its state' if carried else f'has {time.size}'}"
            )
        return window
    return None if carried else time.size


def _carried(values: _Values, found: list[Recurrence], flow: Flow) -> list[str]:
    """The names of the inputs that are a state which the caller carries; none if the model begins with zeros.

    A state is carried if each number of it comes out at the place where it went in: then the caller can only pass the
    outputs on as they are.

    Raises:
        FileError: only a part of the state is carried, or it does not come out in the same order.
    """
    taken = np.concatenate([place.ravel() for each in found for place in each.state] or [np.zeros(0, np.int64)])
    others = [name for name in values.graph.inputs if name != flow.root]
    if not len(taken):
        if others:
            raise FileError(f"the graph has further inputs, {', '.join(others)[:200]}; a model has one")
        return []
    if not all(each.state and each.forward for each in found):
        raise FileError("only some of its layers carry their state from call to call, or one reads in reverse")
    own = np.concatenate([values.known[name].ravel() for name in others if name in values.places] or [taken[:0]])
    if not np.array_equal(np.sort(taken), np.sort(own)) or any(name not in values.places for name in others):
        raise FileError(f"not all numbers of the inputs {', '.join(others)[:200]} are the state of a layer, each once")
    for name in others:
        given = values.known[name]
        if not any(np.array_equal(given, values.known[out]) for out in values.graph.outputs if out in values.places):
            raise FileError(
                f"the state {name[:80]!r} does not come out of the graph as it goes in, so that it is not clear how "
                "the caller carries it"
            )
    return others


def _other_outputs(values: _Values, answer: str, told: Mapping[str, Any], state: list[str]) -> list[str]:
    """Notes about the outputs that the model does not have. Raises FileError if one is more than a state."""
    notes = []
    if state:
        notes.append(f"The state {', '.join(state)} that the caller carried is that of Model.stream.")
    computing = values.flows[answer].computing()
    for name in values.graph.outputs:
        if name == answer or (state and name in values.places):
            continue
        own = [values.flows[name]] if name in values.flows else [part.whole for part in values.parts.get(name, ())]
        known = own and all(computing[: len(each)] == each for each in (flow.computing() for flow in own))
        if "output" not in told and not known:
            raise values.failures.get(name) or FileError(
                f"the graph has several answers, {', '.join(values.graph.outputs)[:200]}; choose one: "
                f'spec={{"output": "{answer}"}}'
            )
        notes.append(f"The output {name} is left out.")
    return notes


def _check_unused(values: _Values, answer: str, told: Mapping[str, Any]) -> None:
    """Raises FileError if there are weights that the answer does not depend on, InputError if `ignore` is wrong."""
    ignored = told.get("ignore", [])
    if not isinstance(ignored, (list, tuple)) or not all(name in values.graph.constants for name in ignored):
        raise InputError(f"ignore must be a list of constants of the graph, got {short(ignored)}")
    needed = {answer}
    for node in reversed(values.graph.nodes):
        if needed & set(node.outputs):
            needed |= set(node.inputs)
    fed = {name for node in values.graph.nodes for name in node.inputs}
    for name, value in values.graph.constants.items():
        left_out = name not in needed and (name not in fed or value.dtype == np.float64)
        if left_out and name not in ignored and value.size > 1 and "output" not in told:
            raise FileError(
                f'the constant {name[:80]!r} is not used for the answer; if so: spec={{"ignore": ["{name}"]}}'
            )

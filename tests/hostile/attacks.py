"""Model files made by hand, byte for byte as docs/format.md says, and everything that can be wrong with them.

Nothing here uses gatewise.file: sums and header are computed anew, so that an attack can carry valid checksums and
reach what lies behind them.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatewise.graph import initial_tensors, resolve
from gatewise.spec import LayerSpec, ModelSpec

SPEC = ModelSpec(
    input=LayerSpec("numeric", width=2, scaling="standard", columns=["a", "b"]),
    layers=[LayerSpec("gru", units=2), LayerSpec("dense", units=2)],
    head=LayerSpec("tail_probability", smooth=3),
)
TINY = ModelSpec(1, [LayerSpec("gru", units=1)])
TINIEST = ModelSpec(1, [LayerSpec("dense", units=1)])


TASK = {"kind": "detector", "described": {}, "tensors": ""}


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def summed(tensors: Mapping[str, Tensor]) -> str:
    """The checksum of some tensors, which are taken for float32."""
    sums = hashlib.sha256()
    for name in sorted(tensors):
        sums.update(canonical([name, "float32", tensors[name].shape]).encode())
        sums.update(tensors[name].data)
    return sums.hexdigest()


@dataclass
class Tensor:
    """One tensor as the header describes it."""

    shape: Any
    data: bytes
    dtype: Any = "F32"
    offsets: Any = None  # None = where it really stands

    @classmethod
    def of(cls, value: Any) -> Tensor:
        array = np.asarray(value, "<f4")
        return cls(list(array.shape), array.tobytes())


@dataclass
class Forgery:
    """A file in parts. `bytes` puts it together; sums and offsets that are None are computed."""

    model: Any
    structure: Any
    tensors: dict[str, Tensor]
    format: Any = 1
    task: Any = None
    provenance: Any = field(default_factory=dict)
    weights: Any = None
    sha256: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    text: Any = None  # instead of the description
    metadata: Any = None  # instead of {"gatewise": text}
    header: bytes | None = None  # instead of the whole header
    length: int | None = None  # instead of the header's length
    tail: bytes = b""

    def description(self) -> dict[str, Any]:
        own = {name: tensor for name, tensor in self.tensors.items() if not name.startswith("task.")}
        task = self.task
        if isinstance(task, dict) and task.get("tensors", 0) is None:
            theirs = {name[5:]: tensor for name, tensor in self.tensors.items() if name.startswith("task.")}
            task = {**task, "tensors": summed(theirs)}
        whole = {
            "format": self.format,
            "model": self.model,
            "provenance": self.provenance,
            "structure": self.structure,
            "task": task,
            "weights": summed(own) if self.weights is None else self.weights,
            **self.extra,
        }
        whole = {key: value for key, value in whole.items() if key not in self.without}
        whole["sha256"] = sha(canonical(whole).encode()) if self.sha256 is None else self.sha256
        return {key: value for key, value in whole.items() if key not in self.without}

    def bytes(self) -> bytes:
        text = canonical(self.description()) if self.text is None else self.text
        header: dict[str, Any] = {"__metadata__": {"gatewise": text} if self.metadata is None else self.metadata}
        body = b""
        for name, tensor in self.tensors.items():
            offsets = [len(body), len(body) + len(tensor.data)] if tensor.offsets is None else tensor.offsets
            header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
            body += tensor.data
        if header["__metadata__"] == "absent":
            del header["__metadata__"]
        data = json.dumps(header).encode() if self.header is None else self.header
        data += b" " * (-len(data) % 8)
        return struct.pack("<Q", len(data) if self.length is None else self.length) + data + body + self.tail


def whole(spec: ModelSpec = SPEC, seed: int = 0) -> Forgery:
    """A forgery with nothing wrong in it."""
    graph = resolve(spec)
    tensors = {name: Tensor.of(value) for name, value in initial_tensors(graph, seed).items()}
    return Forgery(graph.spec.to_dict(), graph.structure, tensors)


def with_task(spec: ModelSpec = SPEC) -> Forgery:
    """A forgery with nothing wrong in it of a model that a task has fitted."""
    found = whole(spec)
    state = {f"task.state.{field.name}": Tensor.of(np.zeros((1, *field.shape))) for field in resolve(spec).state}
    found.tensors |= state
    found.task = {"kind": "detector", "described": {"series": None, "warnings": ["few rows"]}, "tensors": None}
    return found


@dataclass(frozen=True)
class Attack:
    """Bytes that must be refused, and words that the message must have (a regular expression)."""

    name: str
    data: bytes
    words: str

    def __str__(self) -> str:
        return self.name


def _containers() -> list[Attack]:
    good = whole().bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({"weight": [1.0]}))
        file.writestr("archive/data/0", b"\0" * 64)
    length = struct.unpack("<Q", good[:8])[0]
    return [
        Attack("empty", b"", "cut off: 0 bytes"),
        Attack("seven-bytes", good[:7], "cut off: 7 bytes"),
        Attack("only-the-length", good[:8], "cut off: 8 bytes"),
        Attack("half", good[: len(good) // 2], "cut off|no valid safetensors"),
        Attack("last-byte-missing", good[:-1], "no valid safetensors"),
        Attack("a-byte-too-many", good + b"\0", "no valid safetensors"),
        Attack("header-length-0", b"\0" * 8 + good[8:], "no valid safetensors"),
        Attack("header-length-beyond-the-file", struct.pack("<Q", len(good)) + good[8:], "cut off"),
        Attack("header-length-2^64-1", b"\xff" * 8 + good[8:], "cut off"),
        Attack("header-length-2^63", struct.pack("<Q", 1 << 63) + good[8:], "cut off"),
        Attack("header-of-5-MiB", replace(whole(), header=b" " * (5 << 20)).bytes(), "cut off|header of 5242880"),
        Attack("header-one-short", struct.pack("<Q", length - 8) + good[8:], "no valid safetensors"),
        Attack("pickle", pickle.dumps({"gru0.weight_ih": [1.0] * 100}), "no safetensors data|no valid"),
        Attack("pickle-protocol-0", pickle.dumps({"a": 1}, protocol=0), "no safetensors data"),
        Attack("zip", archive.getvalue(), "no safetensors data"),
        Attack("text", b"time,vibration\n2024-01-01,0.5\n", "no safetensors data"),
        Attack("zeros", b"\0" * 4096, "no valid safetensors"),
        Attack("elf", b"\x7fELF\x02\x01\x01" + b"\0" * 200, "no safetensors data"),
        Attack("another-tool's-safetensors", replace(whole(), metadata="absent").bytes(), "not written by gatewise"),
        Attack(
            "another-tool's-metadata", replace(whole(), metadata={"format": "pt"}).bytes(), "not written by gatewise"
        ),
    ]


def _headers() -> list[Attack]:
    def header(name: str, text: bytes, words: str = "no valid safetensors") -> Attack:
        return Attack(f"header-{name}", replace(whole(), header=text).bytes(), words)

    deep = b'{"__metadata__":{"gatewise":"{}"},"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    twice = whole().bytes()
    length = struct.unpack("<Q", twice[:8])[0]
    text = twice[8 : 8 + length].rstrip()
    return [
        header("not-json", b"{nonsense}"),
        header("a-list", b"[1, 2, 3]"),
        header("null", b"null"),
        header("not-utf-8", b'{"\xff\xfe": 1}'),
        header("nan", b'{"__metadata__":{"gatewise":"{}"},"a":NaN}'),
        header("deep", deep),
        header("escaped-quotes", b'{"' + b'\\"' * 100_000),
        header("metadata-a-list", b'{"__metadata__":["gatewise"]}'),
        header("metadata-a-number", b'{"__metadata__":{"gatewise":5}}'),
        header("metadata-twice", text[:-1] + b',"__metadata__":{"gatewise":"{}"}}'),
        header(
            "tensor-twice",
            text[:-1] + b"," + text[text.index(b'"gru0.bias_ih"') : text.index(b'"gru0.bias_hh"')].rstrip(b" ,") + b"}",
        ),
    ]


def _shapes() -> list[Attack]:
    def tensor(name: str, words: str = "no valid safetensors", **changes: Any) -> Attack:
        forged = whole(TINY)
        forged.tensors["gru0.weight_ih"] = replace(forged.tensors["gru0.weight_ih"], **changes)
        return Attack(f"tensor-{name}", forged.bytes(), words)

    zero_wide = whole(TINY)
    zero_wide.tensors["gru0.weight_ih"] = Tensor([3, 0], b"")
    huge_empty = whole(TINY)
    huge_empty.tensors["gru0.weight_ih"] = Tensor([1 << 40, 0], b"")
    return [
        tensor("huge", shape=[1 << 31, 1 << 31]),
        tensor("huge-that-wraps-to-its-size", shape=[(1 << 62) + 3, 1]),
        tensor("1-TiB", shape=[1 << 38, 1]),
        tensor("negative-shape", shape=[-3, -1]),
        tensor("shape-of-texts", shape=["3", "1"]),
        tensor("shape-of-floats", shape=[3.0, 1.0]),
        tensor("shape-null", shape=None),
        tensor("shape-deep", shape=[[[3]], 1]),
        tensor("many-axes", "must be float32|no valid safetensors", shape=[3, *[1] * 100]),
        tensor("offsets-overlap", offsets=[4, 16]),
        tensor("offsets-backwards", offsets=[12, 0]),
        tensor("offsets-negative", offsets=[-12, 0]),
        tensor("offsets-beyond-the-end", offsets=[1 << 40, (1 << 40) + 12]),
        tensor("offsets-at-2^64", offsets=[(1 << 64) - 12, (1 << 64) - 1]),
        tensor("offsets-three", offsets=[0, 4, 12]),
        tensor("dtype-unknown", dtype="F31"),
        tensor("dtype-a-number", dtype=32),
        tensor("dtype-float64", "no valid safetensors", dtype="F64"),
        tensor("dtype-int32", "checksum|float32", dtype="I32"),
        tensor("dtype-bfloat16", "no valid safetensors|unknown", dtype="BF16", shape=[3, 2]),
        tensor("dtype-float8", "no valid safetensors|unknown", dtype="F8_E4M3", shape=[3, 4]),
        tensor("transposed", "must be float32 .3, 1., got float32 .1, 3.", shape=[1, 3]),
        tensor("flat", "must be float32 .3, 1., got float32 .3,.", shape=[3]),
        Attack("tensor-zero-wide", zero_wide.bytes(), "must be float32 .3, 1., got float32 .3, 0."),
        Attack("tensor-huge-but-empty", huge_empty.bytes(), r"must be float32 .3, 1., got float32 .1099511627776, 0."),
    ]


def _values() -> list[Attack]:
    def value(name: str, tensor: str, change: Callable[[np.ndarray[Any, Any]], Any], words: str) -> Attack:
        forged = whole()
        array = np.frombuffer(forged.tensors[tensor].data, "<f4").reshape(forged.tensors[tensor].shape).copy()
        forged.tensors[tensor] = Tensor.of(change(array))
        return Attack(f"values-{name}", forged.bytes(), words)

    def filled(at: int, number: float) -> Callable[[np.ndarray[Any, Any]], Any]:
        def change(array: np.ndarray[Any, Any]) -> Any:
            array.reshape(-1)[at] = number
            return array

        return change

    missing, extra, renamed = whole(), whole(), whole()
    del missing.tensors["gru0.bias_hh"]
    extra.tensors["gru1.bias_hh"] = Tensor.of([1.0])
    renamed.tensors["gru0.bias"] = renamed.tensors.pop("gru0.bias_hh")
    ascend = "must start at .0, 0. and ascend"
    return [
        value("nan", "gru0.weight_hh", filled(3, np.nan), "'gru0.weight_hh' holds 1 non-finite"),
        value("infinity", "dense0.bias", filled(0, -np.inf), "'dense0.bias' holds 1 non-finite"),
        value("scale-0", "input.scale", filled(1, 0.0), "'input': scale of column 1 must be positive, got 0"),
        value("scale-negative", "input.scale", filled(0, -1.0), "scale of column 0 must be positive, got -1"),
        value("statistic-falls", "head.statistic", filled(10, 0.0), ascend),
        value("statistic-starts-late", "head.statistic", filled(0, 1e-3), ascend),
        value("score-falls", "head.score", filled(63, 0.0), ascend),
        value("score-starts-late", "head.score", filled(0, 1e-3), ascend),
        value("unit-0", "head.unit", filled(1, 0.0), "scale of a target's unit must be positive"),
        Attack("values-missing", missing.bytes(), "tensor 'gru0.bias_hh' is missing"),
        Attack("values-extra", extra.bytes(), "tensor 'gru1.bias_hh' belongs to no layer"),
        Attack("values-renamed", renamed.bytes(), "tensor 'gru0.bias_hh' is missing"),
    ]


def _descriptions() -> list[Attack]:
    def text(name: str, text: str, words: str) -> Attack:
        return Attack(f"description-{name}", replace(whole(), text=text).bytes(), words)

    def forged(name: str, words: str, **changes: Any) -> Attack:
        return Attack(f"description-{name}", replace(whole(), **changes).bytes(), words)

    of_task = {**whole().tensors, "task.state.gru0.hidden": Tensor.of([[0.0]])}
    good = canonical(whole().description())
    return [
        text("empty", "", "description is no valid JSON"),
        text("not-json", "{", "description is no valid JSON"),
        text("a-list", "[]", "must have the keys"),
        text("a-text", '"gatewise"', "must have the keys"),
        text("a-number", "5", "must have the keys"),
        text("null", "null", "must have the keys"),
        text("nan", good.replace('"provenance":{}', '"provenance":{"loss":NaN}'), "NaN is not allowed"),
        text("infinity", good.replace('"provenance":{}', '"provenance":{"loss":-Infinity}'), "Infinity is not allowed"),
        text("1e400", good.replace('"provenance":{}', '"provenance":{"loss":1e400}'), "1e400 is too large"),
        text(
            "10000-digits", good.replace('"provenance":{}', '"provenance":{"n":' + "9" * 10_000 + "}"), "no valid JSON"
        ),
        text(
            "deep", good.replace('"provenance":{}', '"provenance":' + '{"a":' * 40 + "1" + "}" * 40), "nested 41 deep"
        ),
        text("deep-lists", "[" * 100_000, "nested 100000 deep"),
        text("long", good[:-1] + ',"a":"' + "x" * (1 << 20) + '"}', "characters of JSON, more than"),
        text("escaped-quotes", '"' + '\\"' * 400_000, "no valid JSON"),
        text("key-twice", good[:-1] + ',"format":1}', "a key stands twice"),
        text("key-twice-inside", good.replace('"units":2', '"units":2,"units":2', 1), "a key stands twice"),
        text("trailing", good + "{}", "no valid JSON"),
        forged("key-missing", "must have the keys.*provenance", without=("provenance",)),
        forged("sum-missing", "must have the keys", without=("sha256",)),
        forged("key-extra", "must have the keys", extra={"hello": 1}),
        forged("sum-wrong", "does not match its checksum", sha256="0" * 64),
        forged("sum-a-number", "does not match its checksum", sha256=0),
        forged("weights-wrong", "tensors do not match their checksum", weights=sha(b"")),
        forged("weights-null", "tensors do not match their checksum", weights=""),
        forged("format-2", "format 2, this version reads 1; upgrade", format=2),
        forged("format-0", "format 0, this version reads 1", format=0),
        forged("format-true", "format True, this version reads 1", format=True),
        forged("format-text", "format '1', this version reads 1", format="1"),
        forged("format-list", "format .1., this version reads 1", format=[1]),
        forged("task-a-list", "the task must be null or have the keys", task=[]),
        forged("task-without-kind", "the task must be null or have the keys", task={"described": {}, "tensors": ""}),
        forged("task-of-a-number", "kind of the task must be a text", task={**TASK, "kind": 5}),
        forged("task-described-by-a-list", "described of the task must be an object", task={**TASK, "described": []}),
        forged("task-sum-a-number", "tensors of the task must be a text", task={**TASK, "tensors": 3}),
        forged("task-sum-of-others", "the tensors of the task do not match", task={**TASK, "tensors": "0" * 64}),
        forged("tensors-of-no-task", "belongs to a task, but no task is described", tensors=of_task),
        forged("provenance-a-list", "provenance must be an object", provenance=[]),
        forged("provenance-null", "provenance must be an object", provenance=None),
        forged("structure-a-number", "structure a text", structure=5),
        forged("structure-foreign", "structure hash does not match", structure=whole(TINY).structure),
        forged("structure-empty", "structure hash does not match", structure=""),
    ]


GRU = {"kind": "gru", "name": "gru0", "units": 1}
ENTRY = {"kind": "numeric", "width": 1}


def plain(*nodes: Any, **changes: Any) -> dict[str, Any]:
    """A model description with these nodes, `TINY` unless something is changed."""
    return {"format": 1, "input": ENTRY, "nodes": list(nodes or [GRU]), "head": None, "context": "carried", **changes}


SPECS: Mapping[str, tuple[Any, str]] = {
    "a-list": ([], "must be an object"),
    "null": (None, "must be an object"),
    "empty": ({}, "has the keys"),
    "key-extra": (plain(hello=1), "has the keys"),
    "key-missing": ({"format": 1, "input": ENTRY}, "has the keys"),
    "format-2": (plain(format=2), "format 2, this version reads 1; upgrade"),
    "format-true": (plain(format=True), "format True"),
    "no-nodes": (plain(nodes=[]), "1 to 1000 layers, got 0"),
    "1001-nodes": (plain(*[{"kind": "gru", "units": 1}] * 1001), "1 to 1000 layers, got 1001"),
    "nodes-an-object": (plain(nodes={"gru0": GRU}), "nodes must be a list"),
    "node-a-text": (plain("gru"), "node 0 must be an object with a kind"),
    "node-null": (plain(GRU, None), "node 1 must be an object with a kind"),
    "kind-missing": (plain({"units": 1}), "node 0 must be an object with a kind"),
    "kind-unknown": (plain({"kind": "mygate", "units": 1}), "unknown layer 'mygate'; this version knows rnn"),
    "kind-of-another-family": (plain({"kind": "numeric", "width": 1}), "unknown layer 'numeric'"),
    "kind-a-path": (plain({"kind": "../gru", "units": 1}), "kind must be the name of a layer, got '../gru'"),
    "kind-a-module": (plain({"kind": "os", "units": 1}), "unknown layer 'os'"),
    "kind-private": (plain({"kind": "__init__", "units": 1}), "unknown layer '__init__'"),
    "kind-a-list": (plain({"kind": ["gru"], "units": 1}), "kind must be the name of a layer"),
    "kind-null": (plain({"kind": None}), "kind must be the name of a layer"),
    "input-null": (plain(input=None), "input must be an object with a kind"),
    "input-unknown": (plain(input={"kind": "audio"}), "unknown input stage 'audio'"),
    "input-named": (plain(input={**ENTRY, "name": "x"}), "input takes no name"),
    "input-with-sources": (plain(input={**ENTRY, "from": ["gru0"]}), "input takes no name and no sources"),
    "head-unknown": (plain(head={"kind": "crystal_ball"}), "unknown head 'crystal_ball'"),
    "head-a-text": (plain(head="softmax"), "head must be an object with a kind"),
    "head-misfit": (plain(head={"kind": "tail_probability"}), "a last layer of 2 units"),
    "option-unknown": (plain({**GRU, "dropout": 0.5}), "gru 'gru0' has no option 'dropout'; its options are"),
    "option-missing": (plain({"kind": "gru"}), "gru 'gru0' needs the option 'units'"),
    "option-self": (plain({**GRU, "self": 1}), "no option"),
    "option-sources": (plain({**GRU, "sources": ["input"]}), "no option"),
    "option-value": (plain({**GRU, "value": 1, "what": 2, "cls": 3}), "has no option 'cls', 'value', 'what'"),
    "units-0": (plain({**GRU, "units": 0}), "units must be a whole number from 1 to 65536, got 0"),
    "units-negative": (plain({**GRU, "units": -1}), "units must be a whole number"),
    "units-a-float": (plain({**GRU, "units": 1.0}), "units must be a whole number"),
    "units-true": (plain({**GRU, "units": True}), "units must be a whole number"),
    "units-null": (plain({**GRU, "units": None}), "units must be a whole number"),
    "units-a-text": (plain({**GRU, "units": "1"}), "units must be a whole number"),
    "units-a-list": (plain({**GRU, "units": [1]}), "units must be a whole number"),
    "units-65537": (plain({**GRU, "units": 65537}), "units must be a whole number from 1 to 65536, got 65537"),
    "units-10^30": (plain({**GRU, "units": 10**30}), "units must be a whole number"),
    "units-65536": (plain({**GRU, "units": 65536}), "gru0.weight_hh would have shape .196608, 65536., more than"),
    "width-0": (plain(input={"kind": "numeric", "width": 0}), "width must be a whole number"),
    "width-huge": (plain(input={"kind": "numeric", "width": 1 << 40}), "width must be a whole number"),
    "columns-too-few": (plain(input={**ENTRY, "columns": []}), "columns must be 1 different names"),
    "columns-a-text": (plain(input={**ENTRY, "columns": "a"}), "columns must be a list of names"),
    "columns-of-numbers": (plain(input={**ENTRY, "columns": [1]}), "columns must be a list of names"),
    "missing-unknown": (
        plain(input={**ENTRY, "missing": "drop"}),
        "missing must be one of 'raise', 'hold', 'mask', got 'drop'",
    ),
    "scaling-a-list": (plain(input={**ENTRY, "scaling": ["standard"]}), "scaling must be one of"),
    "reset-unknown": (plain({**GRU, "reset": "never"}), "reset must be one of 'after', 'before', got 'never'"),
    "activation-unknown": (plain({**GRU, "activation": "sine"}), "activation must be one of .*got 'sine'"),
    "activation-softmax": (plain({**GRU, "activation": "softmax"}), "activation must be one of"),
    "activation-bare-hard": (plain({**GRU, "activation": "hard_sigmoid"}), "hard_sigmoid has two definitions"),
    "activation-half-hard": (plain({**GRU, "activation": {"kind": "hard_sigmoid"}}), "needs slope and offset"),
    "activation-slope-text": (
        plain({**GRU, "activation": {"kind": "hard_sigmoid", "slope": "1", "offset": 0}}),
        "activation.slope must be a number",
    ),
    "activation-slope-0": (
        plain({**GRU, "activation": {"kind": "hard_sigmoid", "slope": 0, "offset": 0}}),
        "activation.slope must be a number from",
    ),
    "activation-a-list": (plain({**GRU, "activation": ["tanh"]}), "activation must be one of"),
    "name-a-number": (plain({**GRU, "name": 5}), "name must be an identifier"),
    "name-empty": (plain({**GRU, "name": ""}), "name must be an identifier"),
    "name-with-a-dot": (plain({**GRU, "name": "a.b"}), "name must be an identifier"),
    "name-with-a-newline": (plain({**GRU, "name": "gru0\n"}), "name must be an identifier"),
    "name-a-path": (plain({**GRU, "name": "../../etc/passwd"}), "name must be an identifier"),
    "name-65-long": (plain({**GRU, "name": "a" * 65}), "at most 64 characters"),
    "name-twice": (plain(GRU, GRU), "'gru0' is used twice or reserved"),
    "name-input": (plain({**GRU, "name": "input"}), "'input' is used twice or reserved"),
    "name-head": (plain({**GRU, "name": "head"}), "'head' is used twice or reserved"),
    "cycle-of-1": (plain({**GRU, "from": ["gru0"]}), "reads 'gru0', which does not come before it: a cycle"),
    "cycle-of-2": (
        plain({**GRU, "name": "a", "from": ["b"]}, {**GRU, "name": "b", "from": ["a"]}),
        "layer 'a' reads 'b', which does not come before it: a cycle",
    ),
    "from-nowhere": (plain({**GRU, "from": ["lost"]}), "reads 'lost', which does not exist"),
    "from-the-head": (plain({**GRU, "from": ["head"]}), "reads 'head', which does not exist"),
    "from-a-number": (plain({**GRU, "from": 5}), "must be names of nodes"),
    "from-numbers": (plain({**GRU, "from": [5]}), "must be names of nodes"),
    "from-an-object": (plain({**GRU, "from": {"input": 1}}), "must be names of nodes"),
    "from-two": (plain(GRU, {"kind": "gru", "units": 1, "from": ["gru0", "input"]}), "gru reads one edge, got 2"),
    "context-unknown": (plain(context="window"), "context must be"),
    "context-window-0": (plain(context={"window": 0}), "context must be"),
    "context-window-huge": (plain(context={"window": 1 << 40}), "context must be"),
    "context-window-true": (plain(context={"window": True}), "context must be"),
    "context-a-list": (plain(context=["carried"]), "context must be"),
    "context-null": (plain(context=None), "context must be"),
}
"""Model descriptions that cannot be, as plain JSON values, and words of the message."""


def _specs() -> list[Attack]:
    return [
        Attack(f"model-{name}", replace(whole(TINY), model=model).bytes(), words)
        for name, (model, words) in SPECS.items()
    ]


ATTACKS = [*_containers(), *_headers(), *_shapes(), *_values(), *_descriptions(), *_specs()]

"""Check the pickle of a torch file before torch reads it, without running it.

A file of `torch.save` describes its tensors in a pickle, a small program that can name any function of Python. This
module walks over its opcodes with an abstract stack: it neither imports nor calls anything. It accepts only what a
state dict needs, and finds the size that each storage declares, so that a hostile file is refused before torch
allocates memory for it. torch then reads the file with `weights_only=True`, its own restricted reader.
"""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from typing import IO, Any

from gatewise.errors import FileError

ITEM_SIZES: Mapping[str, int] = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
"""Classes of storages in the module torch -> bytes of one number."""

CALLS = frozenset(
    {
        "collections OrderedDict",
        "torch Size",
        "torch device",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
    }
)
"""Functions and classes that a state dict calls."""

VALUES = frozenset({"float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"})
"""Names in the module torch that are values: dtypes."""

MOST_OPCODES = 200_000

SAVE = (
    "gatewise runs no code of a file. Save the weights alone, in the program that made it: "
    "torch.save(model.state_dict(), 'weights.pth')"
)


class _Name(str):
    """A global, "module name"."""


class _Opaque:
    """A value of which only the function that made it matters."""

    def __init__(self, made_by: str = "") -> None:
        self.made_by = made_by


_MARK = object()
_PUSHES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_TEXTS = ("BINUNICODE", "SHORT_BINSTRING")


def scan(file: IO[bytes]) -> dict[str, int]:
    """Walk over one pickle up to its end.

    Args:
        file: open at the beginning of the pickle; afterwards it is behind its end.

    Returns:
        key of each storage -> number of bytes that it declares.

    Raises:
        FileError: the pickle is damaged, has too many opcodes, or does something that a state dict does not need.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_OPCODES:
                raise FileError(f"its pickle has more than {MOST_OPCODES:,} opcodes; no state dict is that large")
            machine.step(opcode.name, argument)
    except FileError:
        raise
    except Exception as error:  # genops and the stack can fail in any way on damaged bytes
        raise FileError(f"its pickle is damaged: {type(error).__name__} {str(error)[:100]}") from None
    return machine.storages


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, int] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _PUSHES:
            stack.append(_PUSHES[name])
        elif name in _NUMBERS or name in _TEXTS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET"):
            stack.append(_Opaque(name))
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            self.stack[-count:] = [tuple(stack[-count:])]
        elif name in ("APPENDS", "SETITEMS"):
            self._to_mark()
            self._opaque()
        elif name == "APPEND":
            stack.pop()
            self._opaque()
        elif name == "SETITEM":
            del stack[-2:]
            self._opaque()
        elif name == "GLOBAL":
            stack.append(_known(argument))
        elif name == "REDUCE":
            self._call()
        elif name == "BUILD":  # the attribute _metadata of a state dict
            stack.pop()
            if self._opaque().made_by != "collections OrderedDict":
                raise FileError(f"its pickle sets the state of an object. {SAVE}")
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name == "PROTO":
            if argument != 2:
                raise FileError(
                    f"its pickle has protocol {argument}, and torch.save writes 2; save it again without it"
                )
        elif name != "STOP":
            raise FileError(f"its pickle has the opcode {name}, which a state dict does not have. {SAVE}")

    def _to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError("no mark on the stack")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _opaque(self) -> _Opaque:
        top = self.stack[-1]
        if not isinstance(top, _Opaque):
            raise FileError("its pickle is damaged: it changes something that is no list or dict")
        return top

    def _call(self) -> None:
        self.stack.pop()
        called = self.stack[-1]
        if not isinstance(called, _Name) or called not in CALLS:
            raise FileError(f"its pickle calls {str(called)[:60]!r}, which a state dict does not. {SAVE}")
        self.stack[-1] = _Opaque(called)

    def _storage(self, described: Any) -> _Opaque:
        """A storage, described by ("storage", class, key, device, number of items, ...)."""
        if not isinstance(described, tuple) or len(described) < 5 or described[0] != "storage":
            raise FileError("its pickle refers to something outside that is no storage of a tensor")
        _, kind, key, _, count = described[:5]
        size = ITEM_SIZES.get(kind.partition(" ")[2]) if isinstance(kind, _Name) else None
        if size is None or not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise FileError(f"its pickle describes a storage that cannot be: {str(described)[:100]}")
        self.storages[key] = max(self.storages.get(key, 0), count * size)
        return _Opaque("storage")


def _known(name: str) -> _Name:
    """A global that a state dict may name. Raises FileError for any other."""
    module, _, own = name.partition(" ")
    storage = module in ("torch", "torch.cuda") and own in ITEM_SIZES
    if name in CALLS or storage or (module == "torch" and own in VALUES):
        return _Name(name)
    raise FileError(f"it holds an object of {module}.{own}, not tensors alone. {SAVE}"[:600])

"""Every error that gatewise raises on purpose, its warnings, and the hints that both carry.

::

    GatewiseError
     +-- SpecError           (ValueError)    a model description that cannot be
     +-- InputError          (ValueError)    data that does not fit: shape, dtype, non-finite values, order
     +-- FileError           (ValueError)    a model file or checkpoint that is damaged, hostile or of another version
     +-- StateError          (ValueError)    a saved state that is damaged or belongs to another model
     +-- BusyError           (RuntimeError)  one Stream used by two threads at once
     +-- TrainError          (RuntimeError)  a training that cannot go on
     +-- MissingExtraError   (ImportError)   an optional dependency that is not installed

    GatewiseWarning          (UserWarning)   data or a model that can be used, but about which the user should know

Each message says what was wrong, what was got, what was expected, and what to do next. What to do next is worded in one
way for a caller of Python and in another for a user of the command line. A message is therefore made of parts, and
those that have two wordings are hints::

    raise InputError(f"column {name!r} holds dates; pass ", Parameter("time", name))

`str(error)` gives the wording for Python, "column 'when' holds dates; pass time='when'"; the command line says "column
'when' holds dates; pass --time when". Errors, `GatewiseWarning` and `Text` join parts. A part may also be another error
or `Text`, of which the hints are kept: `InputError(f"{path}: ", error)`. In an f-string only the wording for Python is
left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

ANY: EllipsisType = ...
"""As the value of a `Parameter`: a value that only the user knows."""


@dataclass(frozen=True)
class Parameter:
    """A hint that names a parameter, alone or with a value: "time='t'" in Python, "--time t" on the command line.

    Attributes:
        name: of the parameter.
        value: what to pass. With `ANY` the wording is "series=..." or "--series COL"; with None, the default, it is
            the name alone, "series" or "--series".
    """

    name: str
    value: Any = None

    def __str__(self) -> str:
        if self.value is None:
            return self.name
        return f"{self.name}=" + ("..." if self.value is ANY else repr(self.value))


@dataclass(frozen=True)
class Wording:
    """A hint whose two wordings differ in more than the name of a parameter.

    Attributes:
        python: for a caller of Python.
        command: for a user of the command line. It may be a `Text` with hints of its own.
    """

    python: str
    command: str

    def __str__(self) -> str:
        return self.python


Hint = Parameter | Wording


class Text(str):
    """A text in its wording for Python, which knows the hints among its parts.

    Attributes:
        parts: texts and hints, whose wordings for Python, one after the other, are the text.
    """

    parts: tuple[str | Hint, ...]

    def __new__(cls, *parts: object) -> Text:
        """Join parts: texts, hints, other `Text`, and errors or warnings, which stand for their messages."""
        flat: list[str | Hint] = []
        for part in parts:
            whole = part.text if isinstance(part, _Message) else part
            flat += whole.parts if isinstance(whole, Text) else [whole if isinstance(whole, Hint) else str(whole)]
        text = super().__new__(cls, "".join(map(str, flat)))
        text.parts = tuple(flat)
        return text

    @property
    def hints(self) -> tuple[Hint, ...]:
        """The hints among the parts."""
        return tuple(part for part in self.parts if isinstance(part, Hint))

    def render(self, word: Callable[[Hint], str]) -> str:
        """The text with each hint as `word` words it."""
        return "".join(word(part) if isinstance(part, Hint) else part for part in self.parts)


class _Message(Exception):
    """An exception whose only argument is a `Text`, made of the parts that it is given."""

    def __init__(self, *parts: object) -> None:
        super().__init__(Text(*parts))

    @property
    def text(self) -> Text:
        """The message with its hints; `str` of the exception is its wording for Python."""
        message: Text = self.args[0]
        return message


class GatewiseError(_Message):
    """Root of all errors that gatewise raises on purpose."""


class SpecError(GatewiseError, ValueError):
    """A model description that cannot be: unknown kind, bad option, edge to nowhere, tensor of the wrong shape."""


class InputError(GatewiseError, ValueError):
    """Data handed in that does not fit the model or task: shape, dtype, order, non-finite values."""


class FileError(GatewiseError, ValueError):
    """A model file or checkpoint that is truncated, altered, hostile or of another version."""


class StateError(GatewiseError, ValueError):
    """A saved state that is truncated, altered, or of a model with another structure."""


class BusyError(GatewiseError, RuntimeError):
    """One Stream used by two threads at once; give each thread a Stream of its own."""


class TrainError(GatewiseError, RuntimeError):
    """A training that cannot go on, for example because the loss is no longer finite."""


class MissingExtraError(GatewiseError, ImportError):
    """An optional dependency that is not installed; the message names the command that installs it."""


class GatewiseWarning(_Message, UserWarning):
    """Data or a model that can be used, but about which the user should know."""

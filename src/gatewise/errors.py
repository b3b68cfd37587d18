"""Every error gatewise raises on purpose.

::

    GatewiseError
     +-- SpecError           (ValueError)    a model description that cannot be
     +-- InputError          (ValueError)    data that does not fit: shape, dtype, non-finite values, order
     +-- FileError           (ValueError)    a model file or checkpoint that is damaged, hostile or of another version
     +-- StateError          (ValueError)    a saved state that is damaged or belongs to another model
     +-- BusyError           (RuntimeError)  one Stream used by two threads at once
     +-- TrainError          (RuntimeError)  a training that cannot go on
     +-- MissingExtraError   (ImportError)   an optional dependency that is not installed

Each message says what was wrong, what was got, what was expected, and what to do next.
"""


class GatewiseError(Exception):
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

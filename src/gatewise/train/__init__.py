"""Training, in plain torch. Needs `pip install 'gatewise[train]'`.

`fit` trains a model on one or several series; `to_torch` and `from_torch` are for loops of your own.
"""

from gatewise.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtraError("training needs torch: pip install 'gatewise[train]'") from error

from gatewise.nn import Recurrent, from_torch, to_torch

__all__ = ["Recurrent", "from_torch", "to_torch"]

"""Training, in torch, with native kernels for recurrent layers. Needs `pip install 'gatewise[train]'`.

`fit` trains a model on one or several series; `to_torch` and `from_torch` are for loops of your own.
"""

from gatewise.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtraError("training needs torch: pip install 'gatewise[train]'") from error

from gatewise.layers.train.dropout import Dropout
from gatewise.layers.train.recurrence import without_kernels
from gatewise.layers.train.scan import scan
from gatewise.nn import Recurrent, from_torch, to_torch
from gatewise.train.checkpoint import recover
from gatewise.train.history import History, Record
from gatewise.train.loop import fit
from gatewise.train.progress import Status
from gatewise.train.run import Loss

__all__ = [
    "Dropout",
    "History",
    "Loss",
    "Record",
    "Recurrent",
    "Status",
    "fit",
    "from_torch",
    "recover",
    "scan",
    "to_torch",
    "without_kernels",
]

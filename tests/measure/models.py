"""Models whose memory is known: linear recurrences with chosen matrices."""

import numpy as np
import numpy.typing as npt

import gatewise as gw
from gatewise.layers.base import Array


def linear(recurrent: npt.ArrayLike, given: npt.ArrayLike, read: npt.ArrayLike | None = None) -> gw.Model:
    """h' = A h + B x, with the answer y = C h, or h itself.

    Args:
        recurrent: A (H, H).
        given: B (H, I).
        read: C (outputs, H); None = the answer is h.
    """
    a, b = np.asarray(recurrent, np.float32), np.asarray(given, np.float32)
    layers = [gw.LayerSpec("rnn", "rnn", units=len(a), activation="linear")]
    zeros = np.zeros(len(a), np.float32)
    tensors: dict[str, Array] = {"rnn.weight_ih": b, "rnn.weight_hh": a, "rnn.bias_ih": zeros, "rnn.bias_hh": zeros}
    if read is not None:
        c = np.asarray(read, np.float32)
        layers.append(gw.LayerSpec("dense", "out", units=len(c)))
        tensors |= {"out.weight": c, "out.bias": np.zeros(len(c), np.float32)}
    return gw.Model(gw.ModelSpec(inputs=b.shape[1], layers=layers), tensors)


def delay_line(steps: int) -> gw.Model:
    """A shift register, which answers the reading of some steps ago: 0 before the first one."""
    units = steps + 1
    return linear(np.eye(units, k=-1), np.eye(units, 1), np.eye(1, units, steps))

"""The native core: packed models and the streams that run them. Use `gatewise.Model` and `gatewise.Stream` instead.

Arrays are C-contiguous float32. The order of every sum is fixed, so steps taken one by one, in chunks of any length or
in a batch give the same bits on one instruction set.
"""

from collections.abc import Sequence
from typing import Self, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer, disjoint_base

@final
class Model:
    """A packed model. It is immutable, and any number of threads may use it at the same time."""

    def __new__(
        cls,
        nodes: Sequence[tuple[str, Sequence[int], int, Sequence[float], Sequence[npt.NDArray[np.float32]]]],
        widths: Sequence[int],
        output: int,
        refuse_nonfinite: bool,
        cpu: str | None = None,
        window: int = 0,
        hold: bool = False,
        columns: tuple[str, ...] | None = None,
    ) -> Self:
        """Check a graph and pack its weights. The tensors are copied.

        Args:
            nodes: in order of execution: kind, numbers of the edges it reads, number of the edge it writes, options as
                numbers and tensors in the order that its kernel.c states. Tensors have 1 or 2 axes.
            widths: of each edge, in values. Edge 0 is the input.
            output: number of the edge that is the answer.
            refuse_nonfinite: whether a missing input value is an InputError: NaN, infinite, or an absolute value above
                1e18 after scaling.
            cpu: one of `instruction_sets()`; None = the fastest.
            window: L: each answer is computed from the last L readings and a zero state; 0 = the state is carried.
            hold: with a window: whether missing values are filled forward, with the last value of their column.
            columns: names of the inputs, for messages.

        Raises:
            SpecError: the graph is not valid, or the cpu unknown; the message says which node and what was expected.
            TypeError, ValueError: arguments of other types than stated.
        """

    @property
    def cpu(self) -> str:
        """The instruction set that the model runs on."""

    @property
    def inputs(self) -> int:
        """Values that each step reads."""

    @property
    def outputs(self) -> int:
        """Values that each step writes."""

    @property
    def state_floats(self) -> int:
        """Values in the state of one session."""

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packed weights."""

    def run(self, x: npt.NDArray[np.float32], state: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
        """Run a batch of sequences. Long runs release the interpreter.

        Args:
            x: (batch, time, inputs).
            state: (batch, state_floats), updated in place.
            out: (batch, time, outputs), written.

        Raises:
            InputError: an array of another shape or type, arrays that share memory, or a non-finite input; nothing has
                changed then.
            StateError: a non-finite state.
        """

    def time_steps(self, steps: int) -> float:
        """Seconds for one step, the mean of `steps` steps in a loop without Python."""

@disjoint_base
class Stream:
    """One session, with a state of its own. Only one thread may use it at a time; others get a BusyError."""

    def __new__(cls, model: Model) -> Self:
        """Start at the beginning of a sequence: the state is zero."""

    def push(self, x: npt.ArrayLike, out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """One step.

        Args:
            x: (inputs,); fastest as a C-contiguous float32 `numpy.ndarray`; everything else, including subclasses, is
                first converted by `_as_float32`.
            out: (outputs,), writable, where the answer goes; None = a new array. It may share memory with x.

        Returns:
            y (outputs,) float32: out, if given.

        Raises:
            InputError: x or out does not fit, or x is not finite and the model refuses that.
            BusyError: another thread is using this stream.
            In either case the state is as it was.
        """

    def push_many(self, x: npt.ArrayLike, out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """Many steps: x (time, inputs) gives y (time, outputs), bit for bit as `push` would.

        All of x is checked before the state changes. Raises what `push` raises.
        """

    def reset(self) -> None:
        """Back to the start of a sequence."""

    def get_state(self) -> bytes:
        """The state: float32 values in canonical order, native byte order."""

    def set_state(self, state: Buffer | npt.NDArray[np.float32], /) -> None:
        """Continue from the bytes of `get_state`.

        Raises:
            StateError: another size, or a value that is not finite; the state is then as it was.
        """

    def _as_float32(self, x: npt.ArrayLike, ndim: int, /) -> npt.NDArray[np.float32]:
        """What `push` (ndim 1) and `push_many` (ndim 2) call with an x that does not fit as it is.

        A subclass returns x as a C-contiguous float32 array; here it raises InputError.
        """

@disjoint_base
class Pool:
    """Many sessions and their states. Only one thread may use it at a time; others get a BusyError."""

    def __new__(cls, model: Model, sessions: int) -> Self:
        """Start with this many sessions, each at the beginning of a sequence."""

    @property
    def sessions(self) -> int:
        """How many sessions there are."""

    def push(
        self, ids: npt.ArrayLike, x: npt.ArrayLike, /, out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """One step of the sessions named.

        Args:
            ids: (n,) numbers of sessions, each at most once, in any order; fastest as a C-contiguous int64 array;
                everything else is first converted by `_as_ids`.
            x: (n, inputs), row i for ids[i]; as in `Stream.push`.
            out: (n, outputs), writable, where the answers go; None = a new array.

        Returns:
            y (n, outputs) float32: out, if given. Each row has the bits that a Stream would give.

        Raises:
            InputError: ids, x or out do not fit, share memory, or x is not finite and the model refuses that.
            BusyError: another thread is using this pool.
            In either case all states are as they were.
        """

    def reset(self, ids: npt.ArrayLike, /) -> None:
        """Put sessions back to the start of a sequence. Raises InputError as `push` does."""

    def get_state(self, id: int, /) -> bytes:
        """The state of one session: float32 values in canonical order, native byte order."""

    def set_state(self, id: int, state: Buffer | npt.NDArray[np.float32], /) -> None:
        """Continue one session from the bytes of `get_state`.

        Raises:
            InputError: the session is not in the pool.
            StateError: another size, or a value that is not valid; the session has not changed then.
        """

    def resize(self, sessions: int, /) -> None:
        """Add sessions at the end, each at the start of a sequence, or remove the last ones."""

    def _as_float32(self, x: npt.ArrayLike, ndim: int, /) -> npt.NDArray[np.float32]:
        """What `push` calls with an x that does not fit as it is; here it raises InputError."""

    def _as_ids(self, ids: npt.ArrayLike, /) -> npt.NDArray[np.int64]:
        """What is called with ids that do not fit as they are; here it raises InputError."""

def instruction_sets() -> tuple[str, ...]:
    """Instruction sets of this build that this processor supports, the fastest first; the last is always "base"."""

def bandwidth(nbytes: int, cpu: str | None = None) -> float:
    """Bytes per second that one core reads from a buffer of nbytes, again and again."""

def fma_peak(cpu: str | None = None) -> float:
    """The highest number of floating-point operations per second of one core; a multiply-add counts as two."""

_Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]

def train_saved(
    kind: str, options: tuple[float, ...], inputs: int, rows: int, hidden: int, is_double: bool, cpu: str | None, /
) -> int:
    """How many numbers the training kernel of a kind saves for a row and step; for one instruction set.

    Args:
        kind: e.g. "gru".
        options: the options of the layer, as its method `native` returns them.
        inputs: width of the input.
        rows: rows of the first tensor, the input matrix.
        hidden: width of the hidden state.
        is_double: float64 or float32.
        cpu: one of `instruction_sets()`; None = the fastest.

    Raises:
        SpecError: a kind without a training kernel, or options and widths that do not fit together.
    """

def train_forward(
    kind: str,
    options: tuple[float, ...],
    x: _Numbers,
    first: tuple[_Numbers, ...],
    tensors: tuple[_Numbers, ...],
    lengths: npt.NDArray[np.int64] | None,
    resets: npt.NDArray[np.bool_] | None,
    out: _Numbers,
    last: tuple[_Numbers, ...],
    saved: _Numbers | None,
    shares: int,
    team: int,
    cpu: str | None,
    /,
) -> None:
    """Run a recurrent layer over whole sequences. All arrays are C-contiguous and of one type, float32 or float64.

    Args:
        kind, options, cpu: as for `train_saved`.
        x: (batch, time, inputs).
        first: the fields of the state (batch, width) before the first step.
        tensors: those of the layer, in the order of its spec.py.
        lengths: (batch,) steps of each row; None = all.
        resets: (batch, time) where the state is zero before the step; None = nowhere.
        out: (batch, time, hidden), written; 0 beyond the end of a row.
        last: the fields of the state at the end of each row, written.
        saved: (time, batch, saved), written, for `train_backward`; None = no gradient is wanted.
        shares: the number of parts of the rows, which are computed independently of each other.
        team: address of a function that runs the parts in threads, such as `GOMP_parallel` of an OpenMP runtime; 0 =
            one part after the other.

    Raises:
        SpecError: as `train_saved`.
        InputError: an array of another type or shape, or lengths out of range.
        MemoryError: no memory for the working state.
    """

def train_backward(
    kind: str,
    options: tuple[float, ...],
    x: _Numbers,
    first: tuple[_Numbers, ...],
    tensors: tuple[_Numbers, ...],
    lengths: npt.NDArray[np.int64] | None,
    resets: npt.NDArray[np.bool_] | None,
    out: _Numbers,
    saved: _Numbers,
    d_out: _Numbers,
    d_last: tuple[_Numbers, ...],
    d_x: _Numbers | None,
    d_first: tuple[_Numbers, ...],
    d_tensors: tuple[_Numbers, ...],
    shares: int,
    team: int,
    cpu: str | None,
    /,
) -> None:
    """The gradient of `train_forward`, whose arguments and errors these are too.

    Args:
        d_out, d_last: the gradients of out and last.
        d_x: that of x, written, 0 beyond the end of a row; None = it is not wanted.
        d_first: those of first, written.
        d_tensors: (shares, *shape of the tensor) each: each part of the rows adds its gradients to its own entry.
    """

def scan_forward(
    is_complex: bool,
    a: _Numbers,
    b: _Numbers,
    first: _Numbers,
    lengths: npt.NDArray[np.int64] | None,
    resets: npt.NDArray[np.bool_] | None,
    h: _Numbers,
    last: _Numbers,
    shares: int,
    team: int,
    cpu: str | None,
    /,
) -> None:
    """h[t] = a[t] h[t-1] + b[t] over whole sequences. All arrays are C-contiguous and of one type, float32 or float64.

    Args:
        is_complex: whether two consecutive numbers are one value, its real and its imaginary part.
        a: (batch, time, width), or (width,) where it is the same at every step.
        b: (batch, time, width).
        first: (batch, width), h before the first step.
        lengths: (batch,) steps of each row; None = all. Nothing is read beyond them.
        resets: (batch, time) where h is zero before the step; None = nowhere.
        h: (batch, time, width), written; 0 beyond the end of a row.
        last: (batch, width), h at the end of each row, written.
        shares, team: as for `train_forward`.
        cpu: one of `instruction_sets()`; None = the fastest.

    Raises:
        SpecError: no such instruction set.
        InputError: an array of another type or shape, or lengths out of range.
    """

def scan_backward(
    is_complex: bool,
    a: _Numbers,
    first: _Numbers,
    lengths: npt.NDArray[np.int64] | None,
    resets: npt.NDArray[np.bool_] | None,
    h: _Numbers,
    d_h: _Numbers,
    d_last: _Numbers,
    d_a: _Numbers | None,
    d_b: _Numbers,
    d_first: _Numbers,
    shares: int,
    team: int,
    cpu: str | None,
    /,
) -> None:
    """The gradient of `scan_forward`, whose arguments and errors these are too.

    For complex values it follows the convention of torch: the gradients of the real and the imaginary part are the
    real and the imaginary part of one number.

    Args:
        d_h, d_last: the gradients of h and last.
        d_a: that of a, written: (batch, time, width), or (batch, width), summed over the steps of a row, where a is
            (width,); None = it is not wanted.
        d_b, d_first: those of b and first, written.
    """

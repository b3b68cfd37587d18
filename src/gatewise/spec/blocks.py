"""Functions that make the nodes of common blocks, and the input stage of a model with a given number of inputs."""

from __future__ import annotations

from gatewise.errors import SpecError
from gatewise.spec.layer import LayerSpec
from gatewise.spec.text import short


def plain_input(width: int | None) -> LayerSpec:
    """An input stage of `width` numbers a step, neither named nor scaled, as in `ModelSpec(inputs=width)`."""
    return LayerSpec("numeric", width=width)


def bidirectional(layer: LayerSpec, name: str = "bidirectional", source: str | None = None) -> list[LayerSpec]:
    """The nodes of a bidirectional layer, which reads the sequence in both directions (Schuster & Paliwal 1997).

    One copy of the layer reads the sequence as it is, another reads it reversed. Their outputs are concatenated at each
    step, first that of the forward copy, as in torch and Keras (`merge_mode="concat"`). The block is not causal: a
    model with it runs over whole sequences but does not stream, unless its context is a window.

    Args:
        layer: a recurrent layer, e.g. LayerSpec("gru", units=32), without a name and sources of its own.
        name: prefix of the names of the nodes, which are `name`_forward, `name`_backward, `name`, and two more.
        source: the node it reads, "input" for the input stage; required, as several nodes read it.

    Returns:
        Nodes for `ModelSpec(layers=...)`. The last one, called `name`, is the output and is twice as wide as the layer.

    Raises:
        SpecError: the layer has a name or sources, or `source` is missing.
    """
    if not isinstance(layer, LayerSpec) or layer.name is not None or layer.sources:
        raise SpecError(
            f"bidirectional takes a LayerSpec without name and sources, got {short(layer)}; it names the nodes itself: "
            "bidirectional(LayerSpec(...), name='both', source='input')"
        )
    if source is None:
        raise SpecError("bidirectional needs the name of the node it reads: source='input' for the input stage")
    forward, backward = f"{name}_forward", f"{name}_backward"
    return [
        layer.replace(name=forward, sources=source),
        LayerSpec("reverse", f"{name}_reversed", source),
        layer.replace(name=backward),
        LayerSpec("reverse", f"{name}_restored"),
        LayerSpec("concat", name, (forward, f"{name}_restored")),
    ]


def residual(
    mixer: LayerSpec,
    width: int,
    name: str = "residual",
    source: str | None = None,
    *,
    norm: str = "rms",
    expand: float = 2,
) -> list[LayerSpec]:
    """The nodes of a residual block: a layer and a gated MLP, each of whose outputs is added to its input.

    ::

        s  = x + W_o mixer(norm(x)) + b_o                          the mixer reads the sequence
        u  = norm(s)
        y  = s + W_d (silu(W_g u + b_g) * (W_u u + b_u)) + b_d     the gated MLP reads each step

    Both x and its gradient pass the additions unchanged, so a stack of many blocks can be trained as well as one block.
    The norms keep the inputs of both parts at a constant scale. Each part ends with a matrix product, so the mixer may
    have another width than x. The layout is that of Griffin (De et al. 2024, arXiv 2402.19427): norms before both parts
    (Xiong et al. 2020, arXiv 2002.04745) and SwiGLU (Shazeer 2020, arXiv 2002.05202).

    Blocks are stacked by name. The output of the last block needs a norm before another layer reads it::

        layers = [LayerSpec("dense", "block0", units=96)]
        for i in range(4):
            layers += residual(LayerSpec("gru", units=96), 96, f"block{i + 1}", source=f"block{i}")
        spec = ModelSpec(65, [*layers, LayerSpec("norm"), LayerSpec("dense", units=65)])

    Args:
        mixer: a layer, usually recurrent, e.g. LayerSpec("gru", units=64), without a name and sources of its own.
        width: the width of the block's input and output.
        name: prefix of the names of the nodes: `name`_norm, `name`_mixer and so on; the last is `name` itself.
        source: the node it reads; required, as several nodes read it. It must be as wide as the block, so it is usually
            a dense layer or another block.
        norm: method of the two norms, "rms" or "layer".
        expand: width of the MLP as a multiple of that of the block.

    Returns:
        Nodes for `ModelSpec(layers=...)`. The last one, called `name`, is the output.

    Raises:
        SpecError: the mixer has a name or sources, `source` is missing, or the width or expansion is invalid. Unknown
            kinds or options, and a source of another width, raise an error when the model is made.
    """
    if not isinstance(mixer, LayerSpec) or mixer.name is not None or mixer.sources:
        raise SpecError(
            f"residual takes a LayerSpec without name and sources, got {short(mixer)}; it names the nodes itself: "
            "residual(LayerSpec(...), 64, name='block1', source='block0')"
        )
    if source is None:
        raise SpecError("residual needs the name of the node it reads, which is as wide as itself: source='block0'")
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise SpecError(f"width must be a whole number of at least 1, that of {source!r}, got {short(width)}")
    if isinstance(expand, bool) or not isinstance(expand, (int, float)) or not 0 < expand <= 64:
        raise SpecError(f"expand must be a number above 0, at most 64, got {short(expand)}")
    inner = max(1, round(expand * width))
    return [
        LayerSpec("norm", f"{name}_norm", source, method=norm),
        mixer.replace(name=f"{name}_mixer"),
        LayerSpec("dense", f"{name}_mixed", units=width),
        LayerSpec("add", f"{name}_sum", (source, f"{name}_mixed")),
        LayerSpec("norm", f"{name}_mlp_norm", method=norm),
        LayerSpec("dense", f"{name}_mlp_gate", units=inner, activation="silu"),
        LayerSpec("dense", f"{name}_mlp_up", f"{name}_mlp_norm", units=inner),
        LayerSpec("multiply", f"{name}_mlp", (f"{name}_mlp_gate", f"{name}_mlp_up")),
        LayerSpec("dense", f"{name}_mlp_down", units=width),
        LayerSpec("add", name, (f"{name}_sum", f"{name}_mlp_down")),
    ]

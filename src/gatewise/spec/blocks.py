"""Parts of models that are made of several layers, and the input stage that a number of inputs stands for."""

from __future__ import annotations

from gatewise.errors import SpecError
from gatewise.spec.layer import LayerSpec
from gatewise.spec.text import short


def plain_input(width: int | None) -> LayerSpec:
    """An input stage of so many numbers a step, neither named nor scaled: `ModelSpec(inputs=width)`."""
    return LayerSpec("numeric", width=width)


def bidirectional(layer: LayerSpec, name: str = "bidirectional", source: str | None = None) -> list[LayerSpec]:
    """A layer that reads the sequence in both directions, as the nodes that it is made of (Schuster & Paliwal 1997).

    One copy reads the sequence as it is, another reads it reversed, and what they answer is joined at each step: the
    first half of the output from the one, the second from the other, as in torch and Keras (`merge_mode="concat"`). The
    whole sequence has to be there, so a model with such a layer runs over sequences but does not stream, unless its
    context is a window.

    Args:
        layer: a recurrent layer, e.g. LayerSpec("gru", units=32), without a name and sources of its own.
        name: what the names of the nodes begin with; they are `name`_forward, `name`_backward, `name`, and two more.
        source: the node it reads, "input" for the input stage; required, as several nodes read it.

    Returns:
        Nodes for `ModelSpec(layers=...)`, of which the last, called `name`, is the answer: twice as wide as the layer.

    Raises:
        SpecError: a layer with a name or sources, or no source.
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
    """A block of a deep stack, as the nodes that it is made of: a layer and a gated MLP, what each makes added to x.

    ::

        s  = x + W_o mixer(norm(x)) + b_o                      what the mixer makes of the sequence, added to x
        u  = norm(s)
        y  = s + W_d (silu(W_g u + b_g) * (W_u u + b_u)) + b_d     what the gated MLP makes of each step, added to s

    What is added changes x a little and lets it pass, and gradients pass likewise, so a stack of many blocks learns as
    well as one; the norms keep what is read at one size, however much has been added. Both parts write through a
    matrix, so the mixer need not be as wide as x. The layout is that of Griffin (De et al. 2024, arXiv 2402.19427):
    norms before both parts (Xiong et al. 2020, arXiv 2002.04745) and SwiGLU (Shazeer 2020, arXiv 2002.05202).

    Blocks are stacked by name; what they add up needs a last norm before it is read::

        layers = [LayerSpec("dense", "block0", units=96)]
        for i in range(4):
            layers += residual(LayerSpec("gru", units=96), 96, f"block{i + 1}", source=f"block{i}")
        spec = ModelSpec(65, [*layers, LayerSpec("norm"), LayerSpec("dense", units=65)])

    Args:
        mixer: a layer, recurrent as a rule, e.g. LayerSpec("gru", units=64), without a name and sources of its own.
        width: of the node it reads, and of what it writes.
        name: what the names of the nodes begin with: `name`_norm, `name`_mixer and so on; the last is `name` itself.
        source: the node it reads; required, as several nodes read it. It is as wide as the block, so most often a dense
            layer or another block.
        norm: method of the two norms, "rms" or "layer".
        expand: width of the MLP as a multiple of that of the block.

    Returns:
        Nodes for `ModelSpec(layers=...)`, of which the last, called `name`, is the answer.

    Raises:
        SpecError: a mixer with a name or sources, no source, or a width or expansion that is none. A kind or an option
            that does not exist, or a source of another width, shows when the model is made.
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

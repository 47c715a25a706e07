"""Which parameters decay."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from paddle import Tensor, nn


class Split(NamedTuple):
    """Trainable parameters in the model's order; the two lists share none."""

    decaying: list[Tensor]
    exempt: list[Tensor]


def split_by_decay(model: nn.Layer, exempt_names: Sequence[str], exempt_one_dim: bool) -> Split:
    """Two merged lists, since a group per parameter would slow every step.

    Args:
        exempt_names: parts of names in the state dict, such as ``bn``; a parameter whose name holds one is exempt.
        exempt_one_dim: exempt biases and the scales and shifts of norms, whatever they are called.
    Raises:
        ValueError: nothing is trainable, or a name that is part of no parameter's.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if not parameter.stop_gradient]
    if not named:
        raise ValueError("the model has no trainable parameter")
    for part in exempt_names:
        if not any(part in name for name, _ in named):
            raise ValueError(f"no_weight_decay_name: {part!r} is part of no parameter's name, such as {named[0][0]!r}")
    split = Split([], [])
    for name, parameter in named:
        is_exempt = any(part in name for part in exempt_names) or (exempt_one_dim and len(parameter.shape) == 1)
        (split.exempt if is_exempt else split.decaying).append(parameter)
    return split


def describe_exempt(model: nn.Layer, split: Split) -> str:
    """``no weight decay on 53 of 158 parameters: 52 of BatchNorm2D, 1 of Conv2D``; by layer type, not by name."""
    exempt = {id(parameter) for parameter in split.exempt}
    kinds: Counter[str] = Counter()
    for layer in model.sublayers(include_self=True):
        own = sum(id(parameter) in exempt for parameter in layer.parameters(include_sublayers=False))
        kinds.update({type(layer).__name__: own} if own else {})
    of_kinds = ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common())
    return f"no weight decay on {len(split.exempt)} of {len(split.exempt) + len(split.decaying)} parameters: {of_kinds}"

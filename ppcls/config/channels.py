"""Whether the pictures have the channels that the network takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ppcls.config.check import Problem
from ppcls.config.schema import Component

_COLOURS = 3  # channels of a decoded picture
_POSSIBLE = (3, 4)  # what NormalizeImage makes of them; it refuses all else itself


def channel_problems(sections: Mapping[str, Any], mode: str) -> list[Problem]:
    """Where the sections that ``mode`` uses disagree with ``Arch.input_image_channel``.

    Args:
        sections: those of ``Config`` by name; None for one that could not be read.
    """
    if sections["Arch"] is None:
        return []
    channels = sections["Arch"].input_image_channel
    problems = []
    if sections["Global"] is not None and sections["Global"].image_shape[0] != channels:
        shape = list(sections["Global"].image_shape)
        text = f"expected [{channels}, height, width], as Arch.input_image_channel is {channels}; got {shape}"
        problems.append(Problem("Global.image_shape", text))
    for key, ops in _op_lists(sections, mode):
        problems += _op_problems(key, ops, channels)
    return problems


def _op_lists(sections: Mapping[str, Any], mode: str) -> Iterator[tuple[str, Sequence[Component]]]:
    """The lists of ops whose pictures reach the network, or that an export tells its users to apply."""
    judges = sections["Global"] is None or sections["Global"].eval_during_train
    splits = {"train": ("Train", "Eval") if judges else ("Train",), "eval": ("Eval",)}.get(mode, ())
    for split in splits:
        loader = getattr(sections["DataLoader"], split)
        if loader is not None:
            yield f"DataLoader.{split}.dataset.transform_ops", loader.dataset.transform_ops
    if sections["Infer"] is not None and mode in ("infer", "export"):
        yield "Infer.transforms", sections["Infer"].transforms


def _op_problems(key: str, ops: Sequence[Component], channels: int) -> Iterator[Problem]:
    makers = [op for op in ops if op.name == "NormalizeImage"]
    for op in makers:
        made = op.kwargs.get("channel_num", _COLOURS)
        if made in _POSSIBLE and made != channels:
            text = f"expected {channels}, as Arch.input_image_channel is {channels}; got {made}"
            yield Problem(f"{op.key}.channel_num", text)
    if ops and not makers and channels != _COLOURS:
        text = f"pictures have {_COLOURS} channels, Arch.input_image_channel is {channels}"
        yield Problem(key, f"{text}; add NormalizeImage: {{channel_num: {channels}}}")

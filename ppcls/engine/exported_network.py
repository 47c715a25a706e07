"""An exported program in the network's place, to judge it or to answer with it."""

import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import paddle
from paddle import Tensor, nn

from ppcls.config import Config
from ppcls.config.dump import plain
from ppcls.config.schema import ArchConfig
from ppcls.engine.card import read_ops, take_ops
from ppcls.engine.export import STEM, as_logits
from ppcls.registry import BACKBONES
from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.exported import ADVICE
from ppcls.utils.manifest import SUFFIX
from ppcls.utils.runners import RUNNERS

_LOG = logging.getLogger("ppcls")


class ExportedNetwork(nn.Layer):
    """Images ``[N, C, H, W]`` -> logits ``[N, class_num]``, on the CPU by the program in ``Global.save_inference_dir``.

    Logits of a program that ends in softmax are those of its probabilities: the same up to a number for each row, as
    long as float32 holds the smallest of them.

    Args:
        runtime: one of ``RUNNERS``.
    Raises:
        WeightsError: there is no whole export, or it is of another network.
        PpclsError: the package of that runtime is missing.
    """

    def __init__(self, runtime: str, config: Config) -> None:
        super().__init__()
        folder = Path(config.Global.save_inference_dir)
        if not folder.is_dir():
            raise WeightsError(f"Global.save_inference_dir: {folder} is no folder; run ppcls export first", "damaged")
        self.prefix = folder / STEM
        runner = RUNNERS[runtime](self.prefix)
        self._run = runner.run
        self._facts = _Facts.of(runner.exported.about, self.prefix)
        self._class_num = config.Arch.class_num
        self._is_clipped = False
        _require_arch(self._facts, config, self.prefix)
        self.description = f"{self.prefix} by {runner.name}"
        settings = config.Global
        named = {"Global.pretrained_model": settings.pretrained_model, "Global.checkpoints": settings.checkpoints}
        for key, value in (named | {"Arch.pretrained": config.Arch.pretrained}).items():
            if value:
                _LOG.warning("%s has no effect with --engine %s, which runs %s", key, runtime, self.prefix)

    def follow(self, config: Config, mode: str) -> Config:
        """The config with the preprocessing of the manifest, where there is one and the config does not keep its own.

        Raises:
            WeightsError: ``damaged``: its ops do not exist or cannot be built.
        """
        ops = self._facts.preprocessing
        if not ops or not config.Global.use_model_card:
            return config
        path = Path(f"{self.prefix}{SUFFIX}")
        loaded = [op for op in ops if op != {"ToCHWImage": {}}]  # which is put back where it belongs
        return take_ops(config, mode, read_ops(loaded, path, ADVICE), path)

    def forward(self, images: Tensor) -> Tensor:
        """Outputs as the network's; ConfigError for pictures of another size than the export's, which is fixed."""
        shape = tuple(images.shape[1:])
        if shape != self._facts.image_shape:
            raise ConfigError(
                f"{self.prefix} takes pictures of {list(self._facts.image_shape)}, these are {list(shape)}; change the "
                "transforms, or export again with another Global.image_shape"
            )
        outputs = self._run(images.numpy())
        if outputs.shape != (len(images), self._class_num):
            expected = [len(images), self._class_num]
            raise WeightsError(f"{self.prefix} answers {list(outputs.shape)} numbers; expected {expected}; {ADVICE}")
        return paddle.to_tensor(self._logits(outputs) if self._facts.softmax else outputs)

    def _logits(self, probabilities: np.ndarray) -> np.ndarray:
        if not self._is_clipped and probabilities.min() < np.finfo(np.float32).tiny:
            self._is_clipped = True
            text = "%s answers probabilities of 0: losses, and the order of such classes, are not the network's; "
            _LOG.warning(text + "export with Arch.infer_add_softmax=False", self.prefix)
        return as_logits(probabilities)


class _Facts(NamedTuple):
    """What a manifest must say to be run here."""

    image_shape: tuple[int, int, int]
    softmax: bool
    arch: dict[str, Any]
    preprocessing: list[dict[str, Any]]

    @classmethod
    def of(cls, about: Mapping[str, Any], prefix: Path) -> "_Facts":
        shape = about.get("image_shape")
        is_shape = isinstance(shape, list) and len(shape) == 3 and all(type(size) is int for size in shape)
        values = [about.get("arch"), about.get("preprocessing", [])]
        checks = {
            "image_shape": is_shape,
            "softmax": isinstance(about.get("softmax"), bool),
            "arch": isinstance(values[0], dict),
            "preprocessing": isinstance(values[1], list),
        }
        wrong = [name for name, is_right in checks.items() if not is_right]
        if wrong:
            raise WeightsError(f"{prefix}{SUFFIX}: {wrong[0]} is missing or of another kind; {ADVICE}", "damaged")
        return cls(tuple(shape), about["softmax"], *values)


def _require_arch(facts: _Facts, config: Config, prefix: Path) -> None:
    """WeightsError unless the export is of the config's network."""
    exported, wanted = (_structure(arch, config.Arch.name) for arch in (facts.arch, plain(config)["Arch"]))
    if exported != wanted:
        names = sorted(name for name in exported | wanted if exported.get(name) != wanted.get(name))
        text = "; ".join(f"Arch.{name} is {exported.get(name)!r} there, {wanted.get(name)!r} here" for name in names)
        raise WeightsError(f"{prefix} is of another network: {text}; set Global.save_inference_dir", "mismatch")


def _structure(arch: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What decides about a network's answers: its name and arguments, and the number of classes.

    Args:
        name: the network whose defaults stand for what ``arch`` leaves out.
    """
    defaults = {key: parameter.default for key, parameter in BACKBONES.parameters(name).items()}
    others = {field.name for field in fields(ArchConfig)} - {"class_num", "input_image_channel"} | {"dropout"}
    return {key: value for key, value in (defaults | arch).items() if key not in others}

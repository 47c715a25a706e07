"""Every key of a YAML, as frozen dataclasses: a section a class, the unit beside the value.

Annotations are the schema: ``values.convert`` reads them as text. What PaddleClas knows beyond it is in ``refused``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

ANY = ("train", "eval", "infer", "export")


@dataclass(frozen=True)
class Component:
    """Something a registry builds: a name, its arguments as YAML gave them, and the dotted key messages cite."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    key: str = field(default="", compare=False)


def setting(
    default: Any = MISSING,
    *,
    needed: tuple[str, ...] = (),
    low: float | None = None,
    read: Callable[[Any], Any] | None = None,
    at: str | None = None,
) -> Any:
    """A dataclass field with rules.

    Args:
        default: what holds when the key is absent; without one, the key is needed in every mode.
        needed: the modes in which the key must be there although it has a default.
        low: the least value allowed.
        read: rewrites the YAML value before its type is checked, for values that mean another one.
        at: where the key stands in YAML, below the section; None: under the field's own name.
    """
    needed = ANY if default is MISSING else needed
    return field(default=default, metadata={"needed": needed, "low": low, "read": read, "at": at})


def null_is_zero(value: Any) -> Any:
    """``null`` as the 0 that means off."""
    return 0 if value is None else value


def false_is_null(value: Any) -> Any:
    """``False`` as the null that means absent; the number 0 stays."""
    return None if value is False else value


def rank_list(value: Any) -> Any:
    """``"0,1"`` (the form ``-o`` sends) or 0 as a list of ranks."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", value):
        return [int(part) for part in value.split(",")]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


@dataclass(frozen=True, kw_only=True)
class GlobalConfig:
    """How long, where and on what a run runs; which weights it starts from."""

    checkpoints: str | None = None  # train: prefix to continue from, or auto; else: weights
    pretrained_model: str | None = None  # weights only: prefix, .pdparams file or URL
    use_model_card: bool = True  # eval, infer, export: prepare pictures as the card beside the weights says
    output_dir: str = "./output/"  # the run's folder is <output_dir>/<Arch.name>/
    device: str = "gpu"  # cpu, gpu, gpu:N, auto
    epochs: int = setting(1, needed=("train",), low=1)  # passes over the list; the horizon of the schedule
    save_interval: int = setting(1, read=null_is_zero)  # epochs between epoch_N; <= 0: off
    save_every_steps: int = setting(0, read=null_is_zero)  # updates between checkpoints in mid-epoch; <= 0: off
    keep_last: int = setting(3, low=1)  # checkpoints kept besides those a name points to
    eval_during_train: bool = True
    eval_interval: int = setting(1, read=null_is_zero)  # epochs; <= 0: off. The last epoch is always evaluated
    start_eval_epoch: int = setting(0, low=0)  # the first epoch evaluated
    print_batch_step: int = setting(10, read=null_is_zero)  # batches between log lines; <= 0: off
    print_mem_info: bool = False  # device memory in the log lines
    log_ranks: tuple[int, ...] = setting((0,), read=rank_list)  # the ranks that log
    use_visualdl: bool = False
    image_shape: tuple[int, int, int] = setting((3, 224, 224), low=1)  # C, H, W of the exported input
    save_inference_dir: str = "./inference"  # the exported program
    seed: int | None = setting(None, low=0, read=false_is_null)  # null: a fresh one is drawn and logged
    to_static: bool = False  # train through a compiled program
    update_freq: int = setting(1, low=1)  # batches per update
    on_nan: Literal["stop", "skip", "rollback"] = "stop"
    watchdog_s: float = setting(0.0, low=0, read=null_is_zero)  # seconds without progress until exit; 0: off
    use_dali: bool = False  # accepted for old recipes; the project's own reader serves
    image_channel: int | None = None  # holds a YAML anchor; read nowhere

    def problems(self) -> Iterator[tuple[str, str]]:
        """Bad values, as (key, what is wrong)."""
        if not re.fullmatch(r"cpu|gpu|gpu:\d+|auto", self.device):
            yield "device", f"expected cpu, gpu, gpu:N or auto; got {self.device!r}, which is not supported here"
        if self.image_shape[0] != 3:
            shape = list(self.image_shape)
            yield "image_shape", f"expected [3, height, width], the networks take 3 channels; got {shape}"
        if not self.log_ranks or min(self.log_ranks) < 0:
            yield "log_ranks", f"expected ranks from 0 on, as in '0,1'; got {list(self.log_ranks)}"


@dataclass(frozen=True, kw_only=True)
class ArchConfig:
    """The network. ``component`` holds the name and what is left for the model's own signature."""

    component: Component
    class_num: int = setting(1000, low=1)  # outputs
    pretrained: str | bool | None = setting(None, read=false_is_null)  # path or URL; True: published weights
    infer_add_softmax: bool = True  # the exported program ends in a softmax
    use_sync_bn: bool = False  # batch statistics over all ranks
    data_format: Literal["NCHW", "NHWC"] = "NCHW"
    input_image_channel: int = setting(3, low=1)

    @property
    def name(self) -> str:
        """The registered name."""
        return self.component.name


@dataclass(frozen=True, kw_only=True)
class PerSplit:
    """``Loss`` or ``Metric``: what is computed while training and while evaluating."""

    Train: tuple[Component, ...] = ()
    Eval: tuple[Component, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RegularizerConfig:
    """A penalty on every trainable weight: ``g += coeff * w`` for L2, ``coeff * sign(w)`` for L1."""

    name: Literal["L1", "L2"] = setting()
    coeff: float = setting(low=0)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The update rule. ``component`` holds its name and own arguments, ``lr`` the schedule's."""

    component: Component
    lr: Component
    base_batch_size: int | None = setting(None, low=1, at="lr.base_batch_size")  # scale the rate by batch / this
    regularizer: RegularizerConfig | None = None  # wins over weight_decay
    weight_decay: float | None = setting(None, low=0)  # L2 coefficient; decoupled for AdamW
    no_weight_decay_name: str = setting("", read=lambda value: "" if value is None else value)  # parts of names
    one_dim_param_no_weight_decay: bool = False  # biases and norms do not decay
    clip_norm: float | None = setting(None, low=0)  # largest L2 norm of one gradient tensor
    multi_precision: bool | None = None  # float32 master weights; null: where AMP needs them

    def rate_scale(self, global_batch: int) -> float:
        """What every rate is multiplied by: pictures an update over ``base_batch_size``; 1 where that is not set."""
        return 1.0 if self.base_batch_size is None else global_batch / self.base_batch_size


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """A list of samples, and what happens to each and to their batches."""

    component: Component
    transform_ops: tuple[Component, ...] = ()
    batch_transform_ops: tuple[Component, ...] = ()  # Train only
    fast_decode: bool = False  # JPEG at the least of 1, 1/2, 1/4, 1/8 of its size that the first crop or resize allows


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """The order of an epoch. Without a name every rank sees everything."""

    name: str = "BatchSampler"
    batch_size: int = setting(low=1)  # per card
    shuffle: bool = False
    drop_last: bool = False


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Who decodes."""

    num_workers: int = setting(4, low=0)  # 0: the main thread
    use_shared_memory: bool = True  # processes only
    backend: Literal["thread", "process"] = "thread"


@dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """One split's batches."""

    dataset: DatasetConfig
    sampler: SamplerConfig
    loader: WorkerConfig = WorkerConfig()


@dataclass(frozen=True, kw_only=True)
class DataLoaderConfig:
    """Both splits; None where the mode does not need it."""

    Train: LoaderConfig | None = None
    Eval: LoaderConfig | None = None


@dataclass(frozen=True, kw_only=True)
class AMPConfig:
    """Mixed precision. A section that is there is on unless it says ``use_amp: False``."""

    use_amp: bool = True
    level: Literal["O1", "O2"] = "O1"
    scale_loss: float = setting(1.0, low=1)  # the first loss scale
    use_dynamic_loss_scaling: bool = False
    use_fp16_test: bool = False  # also while evaluating
    use_promote: bool = False


@dataclass(frozen=True, kw_only=True)
class EMAConfig:
    """A running average of the weights; the section's presence switches it on."""

    decay: float = setting(0.9999, low=0)  # share of the old average kept by an update

    def problems(self) -> Iterator[tuple[str, str]]:
        """Bad values, as (key, what is wrong)."""
        if self.decay >= 1:
            yield "decay", f"expected a number below 1; got {self.decay}"


@dataclass(frozen=True, kw_only=True)
class InferConfig:
    """Pictures to name, and how."""

    infer_imgs: str | None = None  # a file or a folder
    infer_list: str | None = None  # a text file, one picture a line
    batch_size: int = setting(1, low=1)
    save_dir: str | None = None  # where the answers are written; null: stdout only
    transforms: tuple[Component, ...] = ()
    PostProcess: Component = Component("Topk", {}, "Infer.PostProcess")


@dataclass(frozen=True, kw_only=True)
class Config:
    """One stage of a run. A section that the mode does not use may be None."""

    Global: GlobalConfig
    Arch: ArchConfig
    Loss: PerSplit = PerSplit()
    Metric: PerSplit = PerSplit()
    Optimizer: OptimizerConfig | None = None
    DataLoader: DataLoaderConfig = DataLoaderConfig()
    AMP: AMPConfig = AMPConfig(use_amp=False)
    EMA: EMAConfig | None = None
    Infer: InferConfig | None = None
    Hooks: tuple[Component, ...] = ()

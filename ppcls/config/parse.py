"""Plain data -> ``Config``, collecting every problem on the way."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ppcls.config import schema
from ppcls.config.catalogue import Catalogue
from ppcls.config.channels import channel_problems
from ppcls.config.check import Problem, unknown_name
from ppcls.config.reader import Reader, join
from ppcls.config.schema import Component, Config
from ppcls.config.values import show


def parse_config(document: Mapping[str, Any], mode: str, catalogue: Catalogue) -> tuple[Config | None, list[Problem]]:
    """The configuration of one stage, or None and what is wrong with it, in the order of the schema.

    Sections that the mode does not use may be absent or incomplete, and may name what is not offered; a key that
    nothing knows is wrong there too.
    """
    reader = Reader(mode, catalogue)
    top, rest = reader.own(Config, document, "", "")
    reader.unknown(rest, [field.name for field in dataclasses.fields(Config)], "")
    trains, judges = mode == "train", mode in ("train", "eval")
    settings = reader.section(schema.GlobalConfig, top.get("Global"), "Global")
    values = {
        "Global": settings,
        "Arch": _arch(reader, top.get("Arch")),
        "Loss": _per_split(reader, top.get("Loss"), "Loss", "LOSSES"),
        "Metric": _per_split(reader, top.get("Metric"), "Metric", "METRICS"),
        "Optimizer": _optimizer(reader.when(trains), top.get("Optimizer")),
        "DataLoader": _data_loader(reader, top.get("DataLoader"), settings),
        "AMP": _amp(reader.when(judges), top.get("AMP")),
        "EMA": _ema(reader.when(trains), top.get("EMA")),
        "Infer": _infer(reader.when(mode == "infer"), top.get("Infer")),
        "Hooks": reader.when(trains).components(top.get("Hooks"), "Hooks", "HOOKS"),
    }
    _check_together(reader.when(trains), values["Global"], values["AMP"])
    reader.problems += channel_problems(values, mode)
    return (None if reader.problems else Config(**values)), reader.problems


def _check_together(reader: Reader, settings: schema.GlobalConfig | None, amp: schema.AMPConfig | None) -> None:
    if settings and amp and settings.to_static and amp.use_amp:
        # What auto_cast does to a traced program is not one thing in Paddle 2 and 3, and no CPU can show it.
        reader.demand("Global.to_static", "does not go with AMP.use_amp; leave one of the two at False")


def _arch(reader: Reader, value: Any) -> schema.ArchConfig | None:
    own, rest = reader.own(schema.ArchConfig, reader.mapping(value, "Arch"), "Arch", "Arch")
    return _flat(reader, schema.ArchConfig, own, rest, "Arch", "BACKBONES")


def _flat(
    reader: Reader, cls: type, own: dict[str, Any], rest: dict[str, Any], key: str, table: str, **built: Any
) -> Any:
    """A section whose rest is the name and the arguments of a component."""
    component = reader.named(rest, key)
    if component:
        known = [field.name for field in dataclasses.fields(cls)]
        component = reader.component(component, table, known, flat=True)
    return reader.fields(cls, own, key, component=component, **built)


def _per_split(reader: Reader, value: Any, key: str, table: str) -> schema.PerSplit:
    own, rest = reader.own(schema.PerSplit, reader.mapping(value, key), key, key)
    reader.unknown(rest, ("Train", "Eval"), key)
    train, judge = reader.when(reader.mode == "train"), reader.when(reader.mode in ("train", "eval"))
    made = schema.PerSplit(
        Train=train.components(own.get("Train"), f"{key}.Train", table),
        Eval=judge.components(own.get("Eval"), f"{key}.Eval", table),
    )
    if key == "Loss" and not own.get("Train"):
        train.demand("Loss.Train", "missing; for example [{CELoss: {weight: 1.0}}]")
    for component in (*made.Train, *made.Eval):
        _check_topk(judge, component)
    return made


def _check_topk(reader: Reader, component: Component) -> None:
    topk = component.kwargs.get("topk", 1)
    ks = topk if isinstance(topk, list | tuple) else [topk]
    if component.name in ("TopkAcc", "Topk") and any(isinstance(k, int) and k < 1 for k in ks):
        reader.demand(f"{component.key}.topk", f"expected at least 1; got {show(topk)}")


def _optimizer(reader: Reader, value: Any) -> schema.OptimizerConfig | None:
    key, value = _one_optimizer(reader, value) if isinstance(value, list) else ("Optimizer", value)
    if value is None:
        reader.demand(key, "missing")
        return None
    own, rest = reader.own(schema.OptimizerConfig, reader.mapping(value, key), key, "Optimizer")
    rates = reader.mapping(own.pop("lr", None), join(key, "lr"))
    if "base_batch_size" in rates:
        own["base_batch_size"] = rates.pop("base_batch_size")
    regularizer = own.pop("regularizer", None)
    if regularizer is not None:
        regularizer = reader.section(schema.RegularizerConfig, regularizer, join(key, "regularizer"))
    built = {"lr": _lr(reader, rates, join(key, "lr")), "regularizer": regularizer}
    return _flat(reader, schema.OptimizerConfig, own, rest, key, "OPTIMIZERS", **built)


def _one_optimizer(reader: Reader, value: list[Any]) -> tuple[str, Any]:
    """The list form of PaddleClas, ``[{Name: {scope: all, ...}}]``, as the mapping it means."""
    if len(value) != 1 or not isinstance(value[0], dict) or len(value[0]) != 1:
        reader.demand("Optimizer", f"expected a mapping, or a list of one {{Name: {{arguments}}}}; got {show(value)}")
        return "Optimizer", None
    name, arguments = next(iter(value[0].items()))
    key = f"Optimizer.0.{name}"
    arguments = reader.mapping(arguments, key)
    if (scope := arguments.pop("scope", "all")) != "all":
        reader.demand(
            f"{key}.scope", f"{show(scope)} is not offered: one optimizer serves all parameters; expected all"
        )
    return key, {"name": name, **arguments}


def _lr(reader: Reader, rates: dict[str, Any], key: str) -> Component | None:
    rest = reader.drop_known(rates, key, "Optimizer.lr")
    if rest.get("by_epoch") in (None, False):
        rest.pop("by_epoch", None)
    if rest.get("name") == "MultiStepDecay":
        rest.pop("step_each_epoch", None)  # PaddleClas recipes give it, and PaddleClas overwrites it
    component = reader.named(rest, key, "ConstLR")
    return component and reader.component(component, "SCHEDULES", flat=True)


def _data_loader(reader: Reader, value: Any, settings: schema.GlobalConfig | None) -> schema.DataLoaderConfig:
    own, rest = reader.own(schema.DataLoaderConfig, reader.mapping(value, "DataLoader"), "DataLoader", "DataLoader")
    reader.unknown(rest, ("Train", "Eval"), "DataLoader")
    trains = reader.mode == "train"
    judges = reader.mode == "eval" or (trains and bool(settings and settings.eval_during_train))
    return schema.DataLoaderConfig(
        Train=_loader(reader.when(trains), own.get("Train"), "Train"),
        Eval=_loader(reader.when(judges), own.get("Eval"), "Eval"),
    )


def _loader(reader: Reader, value: Any, split: str) -> schema.LoaderConfig | None:
    key = f"DataLoader.{split}"
    if value is None:
        reader.demand(key, "missing")
        return None
    own, rest = reader.own(schema.LoaderConfig, reader.mapping(value, key), key, key)
    reader.unknown(rest, ("dataset", "sampler", "loader"), key)
    sampler = reader.section(schema.SamplerConfig, own.get("sampler"), f"{key}.sampler")
    if sampler and (unknown := unknown_name(sampler.name, "SAMPLERS", reader.catalogue)):
        reader.demand(f"{key}.sampler.name", unknown)
    built = {
        "dataset": _dataset(reader, own.get("dataset"), f"{key}.dataset", split),
        "sampler": sampler,
        "loader": reader.section(schema.WorkerConfig, own.get("loader"), f"{key}.loader"),
    }
    return reader.fields(schema.LoaderConfig, {}, key, **built)


def _dataset(reader: Reader, value: Any, key: str, split: str) -> schema.DatasetConfig | None:
    own, rest = reader.own(schema.DatasetConfig, reader.mapping(value, key), key, "dataset")
    if not own.get("transform_ops"):
        reader.demand(f"{key}.transform_ops", "missing; for example [{DecodeImage: {}}, ..., {NormalizeImage: {}}]")
    lists = {
        "transform_ops": reader.components(own.pop("transform_ops", None), f"{key}.transform_ops", "OPS"),
        "batch_transform_ops": reader.components(
            own.pop("batch_transform_ops", None), f"{key}.batch_transform_ops", "BATCH_OPS"
        ),
    }
    for op in lists["transform_ops"]:
        if op.name == "ToCHWImage":
            reader.demand(op.key, "belongs to Infer.transforms only: the dataset transposes at the end")
    if split == "Eval" and lists["batch_transform_ops"]:
        reader.demand(f"{key}.batch_transform_ops", "mixes labels, so it belongs to DataLoader.Train only")
    choices = ("skip", "stop") if split == "Train" else ("stop", "count_wrong")
    if rest.get("on_error") not in (None, *choices):
        reader.demand(
            f"{key}.on_error", f"expected one of {choices[0]!r}, {choices[1]!r}; got {show(rest['on_error'])}"
        )
    return _flat(reader, schema.DatasetConfig, own, rest, key, "DATASETS", **lists)


def _amp(reader: Reader, value: Any) -> schema.AMPConfig | None:
    if value is None:
        return schema.AMPConfig(use_amp=False)
    return reader.section(schema.AMPConfig, value, "AMP")


def _ema(reader: Reader, value: Any) -> schema.EMAConfig | None:
    return None if value is None else reader.section(schema.EMAConfig, value, "EMA")


def _infer(reader: Reader, value: Any) -> schema.InferConfig | None:
    if value is None:
        reader.demand("Infer", "missing")
        return None
    own, rest = reader.own(schema.InferConfig, reader.mapping(value, "Infer"), "Infer", "Infer")
    reader.unknown(rest, [field.name for field in dataclasses.fields(schema.InferConfig)], "Infer")
    if not (own.get("infer_imgs") or own.get("infer_list")):
        reader.demand("Infer.infer_imgs", "missing: a picture or a folder; or give infer_list")
    if not own.get("transforms"):
        reader.demand("Infer.transforms", "missing; for example [{DecodeImage: {}}, ..., {ToCHWImage: }]")
    transforms = reader.components(own.pop("transforms", None), "Infer.transforms", "OPS")
    key = "Infer.PostProcess"
    answer = reader.named(reader.mapping(own.pop("PostProcess", None), key), key, "Topk")
    if answer:
        answer = reader.component(answer, "POSTPROCESSES", flat=True)
        _check_topk(reader, answer)
    return reader.fields(schema.InferConfig, own, "Infer", transforms=transforms, PostProcess=answer)

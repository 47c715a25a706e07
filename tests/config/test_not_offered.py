"""What PaddleClas knows and this project does not offer: accepted when off, else refused with the reason."""

import copy
from pathlib import Path

import pytest

from ppcls.config.catalogue import build_catalogue
from ppcls.config.load import load_document
from ppcls.config.override import apply_override, parse_override
from ppcls.config.parse import parse_config

CONFIGS = Path(__file__).parents[2] / "configs"


def problems_of(*overrides: str, mode: str = "train") -> dict[str, str]:
    """What is wrong with train1.yaml after ``-o``, by key."""
    document = copy.deepcopy(load_document(CONFIGS / "train1.yaml"))
    for text in overrides:
        apply_override(document, parse_override(text))
    return dict(parse_config(document, mode, build_catalogue())[1])


@pytest.mark.parametrize(
    ("key", "off", "on"),
    [
        ("Global.iter_per_epoch", "null", "100"),
        ("Global.use_multilabel", "False", "True"),
        ("Global.eval_mode", "classification", "retrieval"),
        ("Global.train_mode", "null", "progressive"),
        ("Global.uniform_output_enabled", "False", "True"),
        ("Arch.use_ssld", "False", "True"),
        ("Arch.use_ml_decoder", "False", "True"),
        ("Optimizer.clip_grad", "None", "10.0"),
        ("Optimizer.lr.last_epoch", "-1", "3"),
        ("Optimizer.lr.verbose", "False", "True"),
        ("DataLoader.Train.dataset.relabel", "False", "True"),
    ],
)
def test_key_passes_when_off_and_is_refused_when_on(key: str, off: str, on: str):
    assert problems_of(f"{key}={off}") == {}
    assert " is not offered: " in problems_of(f"{key}={on}")[key]


def test_a_compiled_program_and_mixed_precision_refuse_each_other_where_a_run_trains():
    both = ("Global.to_static=True", "AMP={level: O1}")
    assert problems_of(*both) == {"Global.to_static": "does not go with AMP.use_amp; leave one of the two at False"}
    assert problems_of(*both, mode="eval") == {}
    assert problems_of("Global.to_static=True", "AMP.use_amp=False") == {}


def test_zero_is_not_the_off_value_false():
    assert "Arch.use_ssld" in problems_of("Arch.use_ssld=0")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("Global.class_num", "is not offered: moved: set Arch.class_num"),
        ("Global.distributed", "is not offered: is found out by the engine, not set"),
        ("Arch.Backbone", "RecModel"),
        ("Optimizer.warmup_decay", "did you mean 'weight_decay'?"),
        ("DataLoader.UnLabelTrain", "semi-supervised"),
        ("DataLoader.Eval.Gallery", "retrieval"),
        ("Slim", "pruning"),
        ("SSL", "semi-supervised"),
        ("IndexProcess", "retrieval"),
    ],
)
def test_refused_key_says_why(key: str, reason: str):
    assert reason in problems_of(f"{key}=1")[key]


@pytest.mark.parametrize(
    ("override", "key", "message"),
    [
        (
            "Optimizer.lr.name=ReduceOnPlateau",
            "Optimizer.lr.name",
            "'ReduceOnPlateau' of PaddleClas is not offered (its rate is no function of the step); there are: ConstLR",
        ),
        ("Optimizer.name=AdamWDL", "Optimizer.name", "'AdamWDL' of PaddleClas is not offered; there are: "),
        (
            "DataLoader.Train.sampler.name=PKSampler",
            "DataLoader.Train.sampler.name",
            "'PKSampler' of PaddleClas is not offered; there are: BatchSampler, DistributedBatchSampler",
        ),
        (
            "DataLoader.Train.dataset.name=MultiScaleDataset",
            "DataLoader.Train.dataset.name",
            "'MultiScaleDataset' of PaddleClas is not offered (every picture of a run has one size); there are: ",
        ),
        (
            "DataLoader.Train.dataset.transform_ops.1={GridMask: {d1: 96}}",
            "DataLoader.Train.dataset.transform_ops.1.GridMask",
            "'GridMask' of PaddleClas is not offered (PaddleClas's never applies its mask); there are: CropImage, ",
        ),
        (
            "Loss.Train=[{DistillationDMLLoss: {weight: 1.0}}]",
            "Loss.Train.0.DistillationDMLLoss",
            "'DistillationDMLLoss' of PaddleClas is not offered; there are: CELoss",
        ),
        ("Metric.Eval=[{mAP: }]", "Metric.Eval.0.mAP", "'mAP' of PaddleClas is not offered; there are: TopkAcc"),
        ("Arch.name=RecModel", "Arch.name", "'RecModel' of PaddleClas is not offered (retrieval is not offered"),
    ],
)
def test_name_of_paddleclas_says_what_is_offered_instead(override: str, key: str, message: str):
    assert problems_of(override)[key].startswith(message)

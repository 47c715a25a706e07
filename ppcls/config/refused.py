"""What PaddleClas knows and we do not offer: keys at their off value pass, all else is refused with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Off:
    """A key that may be there as long as it asks for nothing."""

    values: tuple[Any, ...]
    reason: str

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is one that asks for nothing; False is not 0 here."""
        return any(type(value) is type(off) and value == off for off in self.values)


_RETRIEVAL = "belongs to retrieval or metric learning, which are not offered"
_PADDLEX = "belongs to PaddleX"
_REC_MODEL = "belongs to RecModel and DistillationModel, which are not offered; name one network in Arch.name"
_SEMI = "belongs to semi-supervised training, which is not offered"
_WRITTEN = "is found out by the engine, not set"

# Section -> key -> what it would have to be.
OFF: Mapping[str, Mapping[str, Off]] = {
    "Global": {
        "iter_per_epoch": Off((None,), "an epoch is one pass over the list"),
        "auto_cast": Off((None, False), "it is read nowhere; set AMP.use_amp"),
        "use_multilabel": Off((None, False), "vector labels are not offered"),
        "eval_mode": Off((None, "classification"), f"{_RETRIEVAL}; expected classification"),
        "train_mode": Off((None,), "progressive and semi-supervised training are not offered"),
        "uniform_output_enabled": Off((None, False), _PADDLEX),
        "export_for_fd": Off((None, False), _PADDLEX),
        "pdx_model_name": Off((None,), _PADDLEX),
        "hpi_config_path": Off((None,), _PADDLEX),
    },
    "Arch": {
        "use_ssld": Off((None, False), "distilled weights are not offered; give a path as Arch.pretrained"),
        "use_ml_decoder": Off((None, False), "the multi-label decoder is not offered"),
    },
    "Optimizer": {
        "clip_grad": Off((None,), "it clips nothing in PaddleClas; use clip_norm, per tensor"),
    },
    "Optimizer.lr": {
        "last_epoch": Off((None, -1), "where a run continues is Global.checkpoints"),
        "verbose": Off((None, False), "the rate stands in every log line"),
        "cycle": Off((None, False), "the rate stays at its end value"),
    },
    "dataset": {
        "relabel": Off((None, False), "labels are used as the list gives them"),
    },
}

# Section -> key -> why not.
REFUSED: Mapping[str, Mapping[str, str]] = {
    "": {
        "Slim": "pruning and quantisation are not offered",
        "SSL": _SEMI,
        "UnLabelLoss": _SEMI,
        "IndexProcess": _RETRIEVAL,
    },
    "Global": {
        "class_num": "moved: set Arch.class_num",
        "distributed": _WRITTEN,
        "rank": _WRITTEN,
        "warmup_iter": "set Optimizer.lr.warmup_epoch",
        **dict.fromkeys(
            ("feature_normalize", "feature_binarize", "re_ranking", "retrieval_feature_from", "sim_block_size"),
            _RETRIEVAL,
        ),
    },
    "Arch": dict.fromkeys(
        (
            *("Backbone", "Neck", "Head", "models", "freeze_params_list", "pretrained_list", "infer_model_name"),
            *("infer_output_key", "BackboneStopLayer"),
        ),
        _REC_MODEL,
    ),
    "Optimizer": {
        "warmup_decay": "no optimizer has it; did you mean 'weight_decay'?",
        "layerwise_decay": "belongs to AdamWDL, which is not offered",
        "filter_bias_and_bn": "belongs to AdamWDL, which is not offered; use one_dim_param_no_weight_decay",
    },
    "DataLoader": {"UnLabelTrain": _SEMI},
    "DataLoader.Eval": {"Gallery": _RETRIEVAL, "Query": _RETRIEVAL},
}

# Table -> names that PaddleClas has. One that this project registers too is offered all the same.
FOREIGN: Mapping[str, str] = {
    "BACKBONES": "RecModel DistillationModel",
    "DATASETS": (
        "MultiScaleDataset MultiLabelDataset CommonDataset ImageNetLTDataset CompCars VeriWild LogoDataset "
        "ICartoonDataset MixDataset Market1501 MSMT17 DukeMTMC AdaFaceDataset FiveValidationDataset "
        "CustomLabelDataset Cifar10 Cifar100"
    ),
    "SAMPLERS": (
        "MultiScaleSampler RASampler PKSampler MixSampler DistributedRandomIdentitySampler "
        "DomainShuffleBatchSampler NaiveIdentityBatchSampler"
    ),
    "OPS": (
        "AutoAugment TimmAutoAugment RandAugment RandAugmentV2 RandAugmentV3 RandomErasing ColorJitter "
        "PCALighting Cutout HideAndSeek GridMask AugMix CropImageAtRatio CropWithPadding Pad Padv2 ToTensor "
        "Normalize RandCropImageV2 RandomCropImage RandomHorizontalFlip RandomInterpolationAugment"
    ),
    "BATCH_OPS": "CutmixOperator OpSampler FmixOperator MixupCutmixHybrid",
    "LOSSES": (
        "MixCELoss GoogLeNetLoss CenterLoss ContrastiveLoss ContrastiveLoss_XBM EmlLoss MSMLoss NpairsLoss "
        "TriHardLoss TripletLoss TripletLossV2 TripletAngularMarginLoss TripletAngularMarginLoss_XBM SupConLoss "
        "SoftSupConLoss CCSSLCELoss PairwiseCosface DMLLoss DistanceLoss SoftTargetCrossEntropy MultiLabelLoss "
        "AFDLoss DSHSDLoss LCDSHLoss DCHLoss CELossForMetaBIN"
    ),
    "METRICS": (
        "mAP mINP Recallk Precisionk GoogLeNetTopkAcc HammingDistance AccuracyScore ATTRMetric TprAtFpr "
        "MultilabelMeanAccuracy MultiLabelMAP"
    ),
    "OPTIMIZERS": "Adam AdamW AdamWDL RMSProp",
    "SCHEDULES": "Cyclic OneCycleLR ReduceOnPlateau CosineFixmatch MultiStepDecay",
    "POSTPROCESSES": "MultiLabelTopk ThreshOutput VehicleAttribute PersonAttribute TableAttribute",
}

REASONS: Mapping[str, str] = {
    "ReduceOnPlateau": "its rate is no function of the step",
    "MultiScaleDataset": "every picture of a run has one size",
    "MultiScaleSampler": "every picture of a run has one size",
    "GridMask": "PaddleClas's never applies its mask",
    "RecModel": "retrieval is not offered; name one network",
    "DistillationModel": "distillation is not offered; name one network",
}


def foreign(table: str, name: str, offered: list[str]) -> str | None:
    """Why a name of PaddleClas is not here and what is; None for a name that PaddleClas does not know either."""
    is_foreign = name in FOREIGN.get(table, "").split() or name.startswith("Distillation")
    if not is_foreign:
        return None
    reason = f" ({REASONS[name]})" if name in REASONS else ""
    there_are = ", ".join(offered) if len(offered) <= 20 else f"{len(offered)} others, which `ppcls list` prints"
    return f"{name!r} of PaddleClas is not offered{reason}; there are: {there_are}"

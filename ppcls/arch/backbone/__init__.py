"""The networks; importing this package registers their names."""

from ppcls.arch.backbone.model_zoo import (
    densenet,
    mobilenet_v1,
    mobilenet_v2,
    oct_densenet,
    oct_mobilenet_v1,
    oct_mobilenet_v2,
    oct_resnet,
    oct_resnet_v1,
    resnet,
    resnext,
    senet,
)

__all__ = [
    "densenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "oct_densenet",
    "oct_mobilenet_v1",
    "oct_mobilenet_v2",
    "oct_resnet",
    "oct_resnet_v1",
    "resnet",
    "resnext",
    "senet",
]

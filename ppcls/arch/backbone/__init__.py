"""The networks; importing this package registers their names."""

from ppcls.arch.backbone.model_zoo import (
    mobilenet_v2,
    oct_densenet,
    oct_mobilenet_v1,
    oct_mobilenet_v2,
    oct_resnet,
    oct_resnet_v1,
)

__all__ = ["mobilenet_v2", "oct_densenet", "oct_mobilenet_v1", "oct_mobilenet_v2", "oct_resnet", "oct_resnet_v1"]

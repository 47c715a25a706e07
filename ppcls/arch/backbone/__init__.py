"""The networks; importing this package registers their names."""

from ppcls.arch.backbone.model_zoo import (
    densenet,
    mobilenet_v1,
    mobilenet_v2,
    oct_mobilenet_v2,
    resnet,
    resnext,
    senet,
)

__all__ = ["densenet", "mobilenet_v1", "mobilenet_v2", "oct_mobilenet_v2", "resnet", "resnext", "senet"]

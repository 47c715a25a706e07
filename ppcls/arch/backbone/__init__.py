"""The networks; importing this package registers their names."""

from ppcls.arch.backbone.model_zoo import mobilenet_v2, oct_mobilenet_v2

__all__ = ["mobilenet_v2", "oct_mobilenet_v2"]

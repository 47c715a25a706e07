"""Batch ops, ``op(images, labels, rng) -> images, labels``: imports the modules below, so that their names register."""

from ppcls.data.preprocess.batch_ops import cutmix, mixup, op_sampler

__all__ = ["cutmix", "mixup", "op_sampler"]

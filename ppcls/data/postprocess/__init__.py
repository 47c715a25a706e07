"""From a network's output to answers: imports the modules below, so that their names register."""

from ppcls.data.postprocess import topk

__all__ = ["topk"]

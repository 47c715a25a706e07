"""Image classification with octave convolution, on PaddlePaddle."""

__version__ = "0.1.0"

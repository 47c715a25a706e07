"""Initial values, written out so that they do not follow the framework's defaults from release to release."""

import math

from paddle import nn


def conv_weight(in_channels: int, kernel_size: int) -> nn.initializer.Initializer:
    """N(0, sqrt(2 / (k * k * in_channels))).

    ``in_channels`` counts those of all groups: a depthwise layer starts smaller than under He's rule, which has one
    input channel there. The published runs started so.
    Source: Paddle's default for convolutions, 2.2 to 3.3.
    """
    return nn.initializer.Normal(mean=0.0, std=math.sqrt(2.0 / (kernel_size * kernel_size * in_channels)))


def linear_weight(in_features: int, out_features: int) -> nn.initializer.Initializer:
    """U(-b, b) with b = sqrt(6 / (in_features + out_features)).

    Source: Glorot and Bengio 2010, equation 16; Paddle's default for linear layers.
    """
    return nn.initializer.XavierUniform(fan_in=in_features, fan_out=out_features)


def norm_weight() -> nn.initializer.Initializer:
    """1."""
    return nn.initializer.Constant(1.0)


def bias() -> nn.initializer.Initializer:
    """0, in convolutions, norms and linear layers."""
    return nn.initializer.Constant(0.0)

"""Means over squares and nearest upsampling: as products, as Paddle's operators, and in numpy."""

from collections.abc import Callable
from functools import partial

import numpy as np
import paddle
import pytest
from octave_reference import NumpyOps
from paddle import Tensor

from ppcls.arch.layers import resample

SIZES = [(1, 1), (2, 3), (5, 8), (7, 12), (8, 8), (4, 6), (12, 4)]


FORMS = pytest.mark.parametrize("training", [True, False], ids=["products", "operators"])


def answer_and_gradient(resampled: Callable[..., Tensor], pixels: np.ndarray, training: bool) -> list[np.ndarray]:
    x = paddle.to_tensor(pixels, stop_gradient=False)
    y = resampled(x, training=training)
    (y * y).sum().backward()
    return [y.numpy(), x.grad.numpy()]


@FORMS
@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("size", SIZES)
def test_shrinking_averages_the_pixels_inside(size: tuple[int, int], factor: int, training: bool) -> None:
    x = np.random.default_rng(0).standard_normal([2, 3, *size])
    y = resample.shrink(paddle.to_tensor(x), factor, training=training).numpy()
    np.testing.assert_allclose(y, NumpyOps.shrink(x, factor), rtol=1e-14, atol=1e-15)


@FORMS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_doubling_repeats_each_pixel_exactly(dtype: str, training: bool) -> None:
    x = np.random.default_rng(0).standard_normal([2, 3, 4, 5]).astype(dtype)
    y = resample.double(paddle.to_tensor(x), training=training).numpy()
    assert y.dtype == dtype
    assert (y == NumpyOps.raise_to(x, (8, 10))).all()


@FORMS
@pytest.mark.parametrize("size", [(5, 7), (75, 6), (8, 8), (1, 1)])
def test_shrinking_undoes_doubling_and_cropping_exactly(size: tuple[int, int], training: bool) -> None:
    z = paddle.to_tensor(np.random.default_rng(0).standard_normal([1, 2, -(-size[0] // 2), -(-size[1] // 2)]))
    y = resample.crop(resample.double(z, training=training), size)
    assert y.shape == [1, 2, *size]
    assert (resample.shrink(y, 2, training=training).numpy() == z.numpy()).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resampled", [partial(resample.shrink, factor=2), resample.double], ids=["shrink", "double"])
def test_gradients_do_not_depend_on_the_form(resampled: Callable[..., Tensor], size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).standard_normal([2, 3, *size])
    product, operator = (answer_and_gradient(resampled, pixels, training) for training in (True, False))
    for one, other in zip(product, operator, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("width", [128, 130])
def test_rows_of_any_length_are_averaged(width: int) -> None:
    x = np.random.default_rng(0).standard_normal([1, 1, 4, width])
    y = resample.shrink(paddle.to_tensor(x), 2, training=True).numpy()
    np.testing.assert_allclose(y, NumpyOps.shrink(x, 2), atol=1e-15)

"""NormalizeImage against its formula in float64, on the host and on the device."""

import numpy as np
import paddle
import pytest

from ppcls.data.preprocess.ops.normalize import NormalizeImage

RNG = np.random.default_rng(0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGE = np.random.default_rng(1).integers(0, 256, [5, 7, 3], np.uint8)


def _expected(image: np.ndarray, scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    return (image.astype(np.float64) * scale - np.array(mean)) / np.array(std)


@pytest.mark.parametrize("order", ["", "hwc"])
def test_channels_last_is_order_empty_or_hwc(order: str) -> None:
    image = NormalizeImage(1 / 255, MEAN, STD, order)(IMAGE, RNG)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, _expected(IMAGE, 1 / 255, MEAN, STD), atol=1e-6)


def test_channels_first_is_order_chw_the_default() -> None:
    image = NormalizeImage()(IMAGE.transpose(2, 0, 1), RNG)
    np.testing.assert_allclose(image.transpose(1, 2, 0), _expected(IMAGE, 1 / 255, MEAN, STD), atol=1e-6)


def test_other_scale_mean_and_std_count() -> None:
    image = NormalizeImage(scale=0.5, mean=[10, 20, 30], std=[1, 2, 4], order="")(IMAGE, RNG)
    np.testing.assert_allclose(image, _expected(IMAGE, 0.5, (10, 20, 30), (1, 2, 4)), atol=1e-5)


def test_the_image_handed_in_stays_as_it_is() -> None:
    image = IMAGE.astype(np.float32)
    NormalizeImage(order="")(image, RNG)
    np.testing.assert_array_equal(image, IMAGE)


@pytest.mark.parametrize(("order", "shape"), [("", [3, 5, 7]), ("chw", [5, 7, 3]), ("", [5, 7, 4]), ("", [5, 3])])
def test_another_layout_is_an_error(order: str, shape: list[int]) -> None:
    with pytest.raises(ValueError, match=r"NormalizeImage expects (HWC|CHW) with 3 channels; got shape \["):
        NormalizeImage(order=order)(np.zeros(shape, np.uint8), RNG)


@pytest.mark.parametrize("order", ["", "chw"])
def test_channel_num_4_appends_zeros(order: str) -> None:
    image = IMAGE if order == "" else IMAGE.transpose(2, 0, 1)
    four, three = NormalizeImage(order=order, channel_num=4)(image, RNG), NormalizeImage(order=order)(image, RNG)
    if order == "chw":
        four, three = four.transpose(1, 2, 0), three.transpose(1, 2, 0)
    np.testing.assert_array_equal(four, np.concatenate([three, np.zeros([5, 7, 1])], axis=2))


@pytest.mark.parametrize("channel_num", [3, 4])
@pytest.mark.parametrize("output_fp16", [False, True])
def test_the_device_gives_the_numbers_of_the_host(output_fp16: bool, channel_num: int) -> None:
    op = NormalizeImage(order="", output_fp16=output_fp16, channel_num=channel_num)
    images = np.random.default_rng(2).integers(0, 256, [2, 5, 7, 3], np.uint8)
    on_host = np.stack([op(image, RNG) for image in images]).transpose(0, 3, 1, 2)
    on_device = op.on_device(paddle.to_tensor(images.transpose(0, 3, 1, 2))).numpy()
    assert on_device.dtype == on_host.dtype == (np.float16 if output_fp16 else np.float32)
    np.testing.assert_allclose(on_device, on_host, atol=2e-3 if output_fp16 else 1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": "rgb"}, "order is one of '', 'hwc', 'chw'; got 'rgb'"),
        ({"channel_num": 5}, "channel_num is 3 or 4; got 5"),
        ({"mean": [0.5]}, r"mean is three numbers, red first; got \[0.5\]"),
        ({"std": [1, 1, "1"]}, r"std is three numbers, red first; got \[1, 1, '1'\]"),
        ({"std": [1, 0, 1]}, r"std divides; got \[1, 0, 1\]"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"NormalizeImage {message}"):
        NormalizeImage(**arguments)

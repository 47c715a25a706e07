"""ResizeImage, CropImage, RandCropImage, RandFlipImage, ToCHWImage against plain numpy and OpenCV."""

import logging
import math

import cv2
import numpy as np
import pytest
from PIL import Image

from ppcls.data.preprocess.ops.crop import CropImage, RandCropImage, draw_box
from ppcls.data.preprocess.ops.flip import RandFlipImage
from ppcls.data.preprocess.ops.layout import ToCHWImage
from ppcls.data.preprocess.ops.resize import ResizeImage, scaled_size
from ppcls.data.preprocess.ops.size import Size
from ppcls.utils.errors import DataError

RNG = np.random.default_rng(0)
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, [height, width, 3], np.uint8)


def test_resize_short_rounds_halves_to_even() -> None:
    assert scaled_size(Size(500, 375), 232) == (309, 232)
    assert scaled_size(Size(3, 2), 1) == (2, 1)  # 1.5 -> 2
    assert scaled_size(Size(5, 2), 1) == (2, 1)  # 2.5 -> 2
    assert scaled_size(Size(2, 5), 1) == (1, 2)
    assert scaled_size(Size(2, 7), 1) == (1, 4)  # 3.5 -> 4


def test_resize_short_scales_the_shorter_side() -> None:
    image = _image(75, 100)
    expected = cv2.resize(image, (67, 50), interpolation=cv2.INTER_LINEAR)  # 100 * 50 / 75 = 66.7
    np.testing.assert_array_equal(ResizeImage(resize_short=50)(image, RNG), expected)
    assert ResizeImage(resize_short=50)(image.transpose(1, 0, 2), RNG).shape == (67, 50, 3)


def test_size_is_a_square_or_width_and_height() -> None:
    assert ResizeImage(size=20)(_image(30, 40), RNG).shape == (20, 20, 3)
    assert ResizeImage(size=[32, 16])(_image(30, 40), RNG).shape == (16, 32, 3)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("nearest", cv2.INTER_NEAREST),
        ("bilinear", cv2.INTER_LINEAR),
        (None, cv2.INTER_LINEAR),
        ("area", cv2.INTER_AREA),
        ("bicubic", cv2.INTER_CUBIC),
        ("lanczos", cv2.INTER_LANCZOS4),
    ],
)
def test_interpolations_of_cv2(name: str | None, mode: int) -> None:
    image = _image(30, 40)
    expected = cv2.resize(image, (17, 11), interpolation=mode)
    np.testing.assert_array_equal(ResizeImage(size=(17, 11), interpolation=name)(image, RNG), expected)


@pytest.mark.parametrize("name", ["nearest", "bilinear", None, "bicubic", "box", "lanczos", "hamming"])
def test_interpolations_of_pil(name: str | None) -> None:
    image = _image(30, 40)
    expected = np.asarray(Image.fromarray(image).resize((17, 11), Image.Resampling[(name or "bilinear").upper()]))
    actual = ResizeImage(size=(17, 11), interpolation=name, backend="pil")(image, RNG)
    np.testing.assert_array_equal(actual, expected)


def test_random_interpolation_is_bilinear_or_bicubic_by_the_generator() -> None:
    image = _image(30, 40)
    op = ResizeImage(size=(17, 11), interpolation="random")
    linear, cubic = (cv2.resize(image, (17, 11), interpolation=mode) for mode in (cv2.INTER_LINEAR, cv2.INTER_CUBIC))
    seen = set()
    for seed in range(20):
        expected = [linear, cubic][np.random.default_rng(seed).integers(2)]
        np.testing.assert_array_equal(op(image, np.random.default_rng(seed)), expected)
        seen.add(expected is cubic)
    assert seen == {False, True}


def test_size_beside_resize_short_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="ppcls"):
        op = ResizeImage(size=20, resize_short=10)
    assert "size 20 has no effect beside resize_short 10; remove one" in caplog.text
    assert op(_image(20, 40), RNG).shape == (10, 20, 3)


def test_a_strip_that_would_grow_to_gigabytes_is_refused() -> None:
    with pytest.raises(DataError, match=r"would turn 5000x1 \(width x height\) into 1280000x256, over") as info:
        ResizeImage(resize_short=256)(_image(1, 5000), RNG)
    assert info.value.slug == "bad-batch"


def test_the_smallest_picture_resizes() -> None:
    image = _image(1, 1)
    expected = np.broadcast_to(image, [256, 256, 3])
    np.testing.assert_array_equal(ResizeImage(resize_short=256)(image, RNG), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs size or resize_short"),
        ({"resize_short": 0}, "resize_short is a whole number of pixels, at least 1; got 0"),
        ({"size": 0}, r"size is a whole number of pixels, or \[width, height\]; got 0"),
        ({"size": [1, 2, 3]}, r"got \[1, 2, 3\]"),
        ({"size": "224"}, "got '224'"),
        ({"size": 8, "backend": "gpu"}, "backend is one of 'cv2', 'pil'; got 'gpu'"),
        ({"size": 8, "interpolation": "box"}, "interpolation of backend 'cv2' is one of nearest, .*; got 'box'"),
        ({"size": 8, "interpolation": "area", "backend": "pil"}, "interpolation of backend 'pil' .*; got 'area'"),
    ],
)
def test_bad_arguments_of_resize(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"ResizeImage .*{message}"):
        ResizeImage(**arguments)


@pytest.mark.parametrize(("height", "width"), [(9, 12), (10, 13), (8, 6)])
def test_crop_takes_the_centre_rounded_down(height: int, width: int) -> None:
    image = _image(height, width)
    top, left = (height - 8) // 2, (width - 6) // 2
    np.testing.assert_array_equal(CropImage([6, 8])(image, RNG), image[top : top + 8, left : left + 6])


@pytest.mark.parametrize(("height", "width"), [(200, 300), (300, 200), (1, 1), (1, 5000)])
def test_a_picture_smaller_than_the_crop_is_an_error(height: int, width: int) -> None:
    message = rf"cannot take 224x224 \(width x height\) out of a picture of {width}x{height}; put ResizeImage with"
    with pytest.raises(DataError, match=message) as info:
        CropImage(224)(_image(height, width), RNG)
    assert info.value.slug == "bad-batch"


@pytest.mark.parametrize("use_log_aspect", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_rand_crop_is_the_formula_drawn_in_the_order_aspect_area_x_y(seed: int, use_log_aspect: bool) -> None:
    image = _image(37, 53)
    rng = np.random.default_rng(seed)
    r = math.exp(rng.uniform(math.log(0.5), math.log(3.0))) if use_log_aspect else rng.uniform(0.5, 3.0)
    bound = min((53 / 37) / r, (37 / 53) * r)
    f = rng.uniform(min(0.3, bound), min(0.9, bound))
    w = int(math.sqrt(53 * 37 * f) * math.sqrt(r))
    h = int(math.sqrt(53 * 37 * f) / math.sqrt(r))
    x = rng.integers(0, 53 - w + 1)
    y = rng.integers(0, 37 - h + 1)
    expected = cv2.resize(image[y : y + h, x : x + w], (20, 16), interpolation=cv2.INTER_AREA)

    op = RandCropImage([20, 16], [0.3, 0.9], [0.5, 3.0], interpolation="area", use_log_aspect=use_log_aspect)

    np.testing.assert_array_equal(op(image, np.random.default_rng(seed)), expected)


def test_aspect_is_even_or_even_in_its_logarithm_and_area_even() -> None:
    rng = np.random.default_rng(3)
    even = [draw_box(Size(4000, 4000), (0.1, 0.4), RATIO, False, rng) for _ in range(4000)]
    log_even = [draw_box(Size(4000, 4000), (0.1, 0.4), RATIO, True, rng) for _ in range(4000)]
    assert np.mean([box.width / box.height for box in even]) == pytest.approx((3 / 4 + 4 / 3) / 2, abs=0.01)
    assert np.mean([math.log(box.width / box.height) for box in log_even]) == pytest.approx(0, abs=0.01)
    assert np.mean([box.width * box.height / 16e6 for box in even]) == pytest.approx(0.25, abs=0.005)


def test_left_and_top_reach_both_ends() -> None:
    rng = np.random.default_rng(5)
    boxes = [draw_box(Size(6, 5), (0.3, 0.3), (1.0, 1.0), False, rng) for _ in range(200)]  # always 3 x 3
    assert {box.left for box in boxes} == {0, 1, 2, 3}
    assert {box.top for box in boxes} == {0, 1, 2}


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 7), (2, 2)])
def test_the_box_lies_inside_and_has_at_least_a_pixel(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        box = draw_box(Size(*size), SCALE, RATIO, False, rng)
        assert box.width >= 1 <= box.height
        assert 0 <= box.left <= size[0] - box.width
        assert 0 <= box.top <= size[1] - box.height


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5000), (5000, 1)])
def test_rand_crop_of_a_thin_picture_has_the_size_asked_for(height: int, width: int) -> None:
    assert RandCropImage(8)(_image(height, width), RNG).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": -1}, "size is a whole number"),
        ({"size": 8, "scale": [0.5]}, r"scale is \[low, high\] with 0 < low <= high; got \[0.5\]"),
        ({"size": 8, "scale": [0.9, 0.1]}, "scale is"),
        ({"size": 8, "ratio": [0, 1]}, r"ratio is \[low, high\] with 0 < low <= high; got \[0, 1\]"),
        ({"size": 8, "ratio": 1.0}, "ratio is"),
        ({"size": 8, "progress_size": [8]}, "progress_size is not offered: sizes stay fixed during a run"),
        ({"size": 8, "interpolation": "cubic"}, "interpolation of backend 'cv2' .*; got 'cubic'"),
    ],
)
def test_bad_arguments_of_rand_crop(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"RandCropImage {message}"):
        RandCropImage(**arguments)


@pytest.mark.parametrize(
    ("code", "flipped"),
    [(1, np.s_[:, ::-1]), (0, np.s_[::-1]), (-1, np.s_[::-1, ::-1])],
)
def test_flip_mirrors_where_the_generator_says_one(code: int, flipped: tuple[slice, ...]) -> None:
    image = _image(5, 4)
    seen = set()
    for seed in range(10):
        is_flipped = np.random.default_rng(seed).integers(2) == 1
        expected = image[flipped] if is_flipped else image
        np.testing.assert_array_equal(RandFlipImage(code)(image, np.random.default_rng(seed)), expected)
        seen.add(bool(is_flipped))
    assert seen == {False, True}


def test_flip_happens_half_of_the_time() -> None:
    image, rng, op = _image(2, 3), np.random.default_rng(0), RandFlipImage()
    count = sum(op(image, rng) is not image for _ in range(2000))
    assert 900 < count < 1100


def test_an_unknown_flip_code_is_refused() -> None:
    with pytest.raises(ValueError, match=r"flip_code is 1 \(left-right\), 0 \(top-bottom\) or -1 \(both\); got 2"):
        RandFlipImage(2)


def test_to_chw_puts_channels_first() -> None:
    image = _image(4, 6)
    np.testing.assert_array_equal(ToCHWImage()(image, RNG)[2], image[:, :, 2])

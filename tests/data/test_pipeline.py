"""Pipeline: both routes give one result, and that is what plain OpenCV and numpy give."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import paddle
import pytest

from ppcls.data.preprocess import Pipeline
from ppcls.registry import OPS
from ppcls.utils.errors import ConfigError, DataError

NORMALIZE = {
    "NormalizeImage": {
        "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "order": "",
    }
}
DECODE = {"DecodeImage": {"to_rgb": True, "channel_first": False}}
EVAL = [DECODE, {"ResizeImage": {"resize_short": 232}}, {"CropImage": {"size": 224}}, NORMALIZE]
TRAIN = [DECODE, {"RandCropImage": {"size": 192}}, {"RandFlipImage": {"flip_code": 1}}, NORMALIZE]
CAT = Path(__file__).parents[2] / "demo" / "cat.jpg"


class _Component(NamedTuple):
    name: str
    kwargs: dict[str, Any]
    key: str


def _components(ops: list[dict[str, Any]]) -> list[_Component]:
    return [
        _Component(name, arguments or {}, f"DataLoader.Train.dataset.transform_ops.{number}.{name}")
        for number, op in enumerate(ops)
        for name, arguments in op.items()
    ]


def _pipeline(ops: list[dict[str, Any]]) -> Pipeline:
    return Pipeline.from_components(_components(ops))


def _jpeg(height: int, width: int, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, [height // 8, width // 8, 3], np.uint8)
    return cv2.imencode(".jpg", cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))[1].tobytes()


def _reference_eval(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    height, width = image.shape[:2]
    factor = 232 / min(height, width)
    image = cv2.resize(image, (round(width * factor), round(height * factor)))
    top, left = (image.shape[0] - 224) // 2, (image.shape[1] - 224) // 2
    image = image[top : top + 224, left : left + 224]
    image = (image.astype(np.float64) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return image.transpose(2, 0, 1)


def _device(pipeline: Pipeline, image: np.ndarray) -> np.ndarray:
    return pipeline.device(paddle.to_tensor(image[None])).numpy()[0]


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (240, 240), (64, 1000)])
def test_eval_preprocessing_equals_plain_opencv_and_numpy(height: int, width: int) -> None:
    data, pipeline = _jpeg(height, width, seed=height), _pipeline(EVAL)
    expected = _reference_eval(data)
    full = pipeline.full(data, np.random.default_rng(0))
    split = _device(pipeline, pipeline.host(data, np.random.default_rng(0)))
    assert full.dtype == split.dtype == np.float32
    np.testing.assert_allclose(full, expected, atol=2e-6)
    np.testing.assert_allclose(split, expected, atol=2e-6)


@pytest.mark.skipif(not CAT.exists(), reason="demo/cat.jpg is missing")
def test_eval_preprocessing_of_a_photograph_equals_plain_opencv_and_numpy() -> None:
    data = CAT.read_bytes()
    full = _pipeline(EVAL).full(data, np.random.default_rng(0))
    np.testing.assert_allclose(full, _reference_eval(data), atol=2e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_split_and_the_host_route_agree_in_training(seed: int) -> None:
    data, pipeline = _jpeg(200, 300, seed), _pipeline(TRAIN)
    host = pipeline.host(data, np.random.default_rng(seed))
    assert (host.dtype, host.shape, pipeline.host_dtype) == (np.uint8, (192, 192, 3), np.uint8)
    full = pipeline.full(data, np.random.default_rng(seed))
    np.testing.assert_allclose(_device(pipeline, host), full, atol=1e-6)


def test_the_same_generator_gives_the_same_pixels_and_another_gives_others() -> None:
    data, pipeline = _jpeg(200, 300, 0), _pipeline(TRAIN)
    first, second, other = (pipeline.host(data, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_inference_ends_in_chw_in_either_order_of_the_last_two() -> None:
    data = _jpeg(240, 320, 0)
    expected = _pipeline(EVAL).full(data, np.random.default_rng(0))
    chw_last = Pipeline.for_inference(_components([*EVAL, {"ToCHWImage": None}]))
    chw_first = Pipeline.for_inference(_components([*EVAL[:3], {"ToCHWImage": None}, {"NormalizeImage": None}]))
    for pipeline in (chw_last, chw_first):
        full = pipeline.full(data, np.random.default_rng(0))
        host = pipeline.host(data, np.random.default_rng(0))
        assert full.flags.c_contiguous
        np.testing.assert_array_equal(full, expected)
        assert (host.shape, host.dtype) == ((224, 224, 3), np.uint8)
        np.testing.assert_allclose(_device(pipeline, host), expected, atol=1e-6)


def test_without_normalize_the_device_gives_float32_of_the_bytes() -> None:
    data, pipeline = _jpeg(24, 32, 0), _pipeline([DECODE])
    host = pipeline.host(data, np.random.default_rng(0))
    device = _device(pipeline, host)
    assert device.dtype == np.float32
    np.testing.assert_array_equal(device, host.transpose(2, 0, 1))
    np.testing.assert_array_equal(device, pipeline.full(data, np.random.default_rng(0)))


class _AddOne:
    """A float op without a device form."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image + np.float32(1)


def test_normalisation_stays_on_the_host_before_a_float_op_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ops = [OPS.build(component) for component in _components([DECODE, NORMALIZE])]
    with caplog.at_level(logging.INFO, logger="ppcls"):
        pipeline = Pipeline([*ops, _AddOne()])
    assert "NormalizeImage stays on the host: _AddOne after it has no device form" in caplog.text
    data = _jpeg(24, 32, 0)
    host = pipeline.host(data, np.random.default_rng(0))
    assert host.dtype == pipeline.host_dtype == np.float32
    expected = Pipeline(ops).full(data, np.random.default_rng(0)) + 1
    np.testing.assert_allclose(_device(pipeline, host), expected, atol=1e-6)
    np.testing.assert_allclose(pipeline.full(data, np.random.default_rng(0)), expected, atol=1e-6)


def test_max_pixels_reaches_the_decoder() -> None:
    pipeline = Pipeline.from_components(_components([DECODE]), max_pixels=100)
    with pytest.raises(DataError, match="max_pixels is 100"):
        pipeline.host(_jpeg(24, 32, 0), np.random.default_rng(0))


KEY = r"DataLoader\.Train\.dataset\.transform_ops\."


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ([], "a list of transform ops is empty; it begins with DecodeImage"),
        ([NORMALIZE], KEY + r"0\.NormalizeImage: DecodeImage comes first, and once"),
        ([DECODE, DECODE], KEY + r"1\.DecodeImage: DecodeImage comes first, and once"),
        ([*EVAL, {"ToCHWImage": None}], KEY + r"4\.ToCHWImage: loaders transpose whole batches .*; remove it"),
        (
            [DECODE, {"NormalizeImage": None}],
            KEY + r"1\.NormalizeImage: NormalizeImage works on CHW, pictures are HWC here; order: '' is for HWC",
        ),
        (
            [DECODE, {"ToCHWImage": None}, {"CropImage": {"size": 8}}],
            KEY + r"2\.CropImage: CropImage works on HWC, pictures are CHW here; move it before ToCHWImage",
        ),
        ([DECODE, {"CropImage": {"size": 0}}], KEY + r"1\.CropImage: CropImage size is a whole number"),
        ([DECODE, {"RandCropImg": {"size": 8}}], KEY + r"1\.RandCropImg: .*did you mean 'RandCropImage'"),
        ([DECODE, {"CropImage": {"sise": 8}}], KEY + r"1\.CropImage: .*no argument 'sise'; did you mean 'size'"),
    ],
)
def test_lists_that_cannot_work_name_the_key(ops: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _pipeline(ops)


def test_inference_without_to_chw_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Infer\.transforms must end in CHW; append ToCHWImage"):
        Pipeline.for_inference(_components(EVAL))

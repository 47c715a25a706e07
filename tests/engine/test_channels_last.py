"""Runs that compute in [N, H, W, C] on pictures of four channels, as PaddleClas's three recipes for float16 do."""

import re
from pathlib import Path

import numpy as np
import pytest
from bad_runs import ends, make_pictures
from tiny_run import events, run, train, weights, write_config

from ppcls.engine.export import onnx_runner
from ppcls.utils.runners import load_program

LAST = "Arch.data_format=NHWC"
CHANNELS = tuple(
    f"{ops}.NormalizeImage.channel_num=4"
    for ops in (
        "DataLoader.Train.dataset.transform_ops.3",
        "DataLoader.Eval.dataset.transform_ops.1",
        "Infer.transforms.2",
    )
)
FOUR = ("Arch.input_image_channel=4", "Global.image_shape=[4,32,32]", *CHANNELS)
SHORT = ("Global.epochs=1", "DataLoader.Train.dataset.samples=8")

RECIPE = """
# global configs
Global:
  checkpoints: null
  pretrained_model: null
  output_dir: ./output/
  device: gpu
  save_interval: 1
  eval_during_train: True
  eval_interval: 1
  epochs: {epochs}
  print_batch_step: 10
  use_visualdl: False
  # used for static mode and model export
  image_channel: &image_channel 4
  image_shape: [*image_channel, 224, 224]
  save_inference_dir: ./inference
  use_dali: {use_dali}

# mixed precision
AMP:
  scale_loss: 128.0
  use_dynamic_loss_scaling: True
  level: {level}

Arch:
  name: {name}
  class_num: 1000
  pretrained: False
  input_image_channel: *image_channel
  data_format: "NHWC"

Loss:
  Train:
    - CELoss:
        weight: 1.0
        epsilon: {epsilon}
  Eval:
    - CELoss:
        weight: 1.0

Optimizer:
  name: Momentum
  momentum: 0.9
  multi_precision: True
  lr: {rates}
  regularizer:
    name: 'L2'
    coeff: {decay}

DataLoader:
  Train:
    dataset:
      name: ImageNetDataset
      image_root: {pictures}
      cls_label_path: {list}
      transform_ops:
        - DecodeImage:
            to_rgb: True
            channel_first: False
        - RandCropImage:
            size: 224
        - RandFlipImage:
            flip_code: 1
        - NormalizeImage:
            scale: 1.0/255.0
            mean: [0.485, 0.456, 0.406]
            std: [0.229, 0.224, 0.225]
            order: ''
            output_fp16: {fp16}
            channel_num: *image_channel
    sampler:
      name: DistributedBatchSampler
      batch_size: 64
      drop_last: False
      shuffle: True
    loader:
      num_workers: 4
      use_shared_memory: True

  Eval:
    dataset:
      name: ImageNetDataset
      image_root: {pictures}
      cls_label_path: {list}
      transform_ops:
        - DecodeImage:
            to_rgb: True
            channel_first: False
        - ResizeImage:
            resize_short: 256
        - CropImage:
            size: 224
        - NormalizeImage:
            scale: 1.0/255.0
            mean: [0.485, 0.456, 0.406]
            std: [0.229, 0.224, 0.225]
            order: ''
            output_fp16: {fp16}
            channel_num: *image_channel
    sampler:
      name: DistributedBatchSampler
      batch_size: 64
      drop_last: False
      shuffle: False
    loader:
      num_workers: 4
      use_shared_memory: True

Infer:
  infer_imgs: {pictures}
  batch_size: 10
  transforms:
    - DecodeImage:
        to_rgb: True
        channel_first: False
    - ResizeImage:
        resize_short: 256
    - CropImage:
        size: 224
    - NormalizeImage:
        scale: 1.0/255.0
        mean: [0.485, 0.456, 0.406]
        std: [0.229, 0.224, 0.225]
        order: ''
        output_fp16: {fp16}
        channel_num: *image_channel
    - ToCHWImage:
  PostProcess:
    name: Topk
    topk: 5

Metric:
  Train:
    - TopkAcc:
        topk: [1, 5]
  Eval:
    - TopkAcc:
        topk: [1, 5]
"""
PIECEWISE = "{name: Piecewise, learning_rate: 0.1, decay_epochs: [30, 60, 90], values: [0.1, 0.01, 0.001, 0.0001]}"
RESNET = {"name": "ResNet50", "epochs": 120, "use_dali": True, "epsilon": "null", "rates": PIECEWISE, "decay": 0.0001}
RECIPES = {
    "ResNet50_amp_O1_ultra": {**RESNET, "level": "O1", "fp16": False},
    "ResNet50_amp_O2_ultra": {**RESNET, "level": "O2", "fp16": True},
    "SE_ResNeXt101_32x4d_amp_O2_ultra": {
        **{"name": "SE_ResNeXt101_32x4d", "epochs": 200, "use_dali": False, "level": "O2", "fp16": True},
        **{"epsilon": 0.1, "rates": "{name: Cosine, learning_rate: 0.1}", "decay": 0.00007},
    },
}
TINY = (
    "Global.device=cpu",
    "Global.seed=1",
    "AMP.use_amp=False",
    "Optimizer.lr.learning_rate=0.001",
    "DataLoader.Train.dataset.transform_ops.1.RandCropImage.size=32",
    "DataLoader.Eval.dataset.transform_ops.1.ResizeImage.resize_short=32",
    "DataLoader.Eval.dataset.transform_ops.2.CropImage.size=32",
    *(f"DataLoader.{split}.sampler.batch_size=4" for split in ("Train", "Eval")),
    *(f"DataLoader.{split}.loader.num_workers=1" for split in ("Train", "Eval")),
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_of_paddleclas_trains_two_steps(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_pictures(tmp_path / "pictures")
    (tmp_path / "list.txt").write_text("".join(f"{number}.png {number}\n" for number in range(8)))
    config = tmp_path / "recipe.yaml"
    values = {**RECIPES[recipe], "pictures": folder, "list": tmp_path / "list.txt"}
    config.write_text(_filled(values))
    assert run("train", config, *TINY, flags=("--dry-run",)) == 0
    told = "".join(capsys.readouterr())
    assert told.count("[dry run] update") == 2
    assert "[dry run] one evaluation batch of 4 pictures" in told
    for split in ("Train", "Eval"):
        op = f"DataLoader.{split}.dataset.transform_ops.3.NormalizeImage"
        line = f"{op}.output_fp16: pictures stay float32; float16 is for training with AMP on a GPU"
        assert told.count(line) == values["fp16"]


def _filled(values: dict[str, object]) -> str:
    text = RECIPE
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", str(value))
    return text


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny run on four channels in both layouts, from one seed."""
    folders = {layout: tmp_path_factory.mktemp(layout) for layout in ("NCHW", "NHWC")}
    for layout, folder in folders.items():
        train(folder, *FOUR, *SHORT, f"Arch.data_format={layout}")
    return folders


def out(folder: Path) -> Path:
    return folder / "out" / "OctMobileNetV2"


def test_a_run_gives_the_same_weights_and_numbers_in_both_layouts(runs: dict[str, Path]) -> None:
    first, last = (weights(out(runs[layout]) / "latest") for layout in ("NCHW", "NHWC"))
    assert list(first) == list(last)
    for name, value in first.items():
        np.testing.assert_allclose(
            last[name], value, rtol=1e-3, atol=1e-4 * max(1.0, np.abs(value).max()), err_msg=name
        )
    numbers = [[row.get("loss") for row in events(out(runs[layout]))] for layout in ("NCHW", "NHWC")]
    assert len(numbers[0]) > 1
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-4)


def test_weights_load_across_layouts_and_evaluate_and_export_alike(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    pictures = make_pictures(tmp_path / "pictures")
    for name in ("cut.jpg", "page.jpg", "empty.jpg"):
        (pictures / name).unlink()
    given = (*FOUR, f"Global.pretrained_model={out(runs['NHWC']) / 'latest'}", f"Infer.infer_imgs={pictures}")
    images = np.random.default_rng(0).standard_normal([3, 4, 32, 32]).astype("float32")
    answers, evaluations, outputs = [], [], []
    for layout in ("NCHW", "NHWC"):
        choice = (*given, f"Arch.data_format={layout}", f"Global.save_inference_dir={tmp_path / layout}")
        capsys.readouterr()
        assert run("infer", config, *choice) == 0
        answers.append(capsys.readouterr().out)
        assert run("eval", config, *choice) == 0
        evaluations.append(float(re.findall(r"loss: ([\d.]+)", capsys.readouterr().out)[-1]))
        assert run("export", config, *choice) == 0
        outputs.append(load_program(tmp_path / layout / "inference")(images))
    assert "class_ids" in answers[0]
    assert answers[0].count("file_name") == answers[1].count("file_name") == 8
    assert evaluations[0] == pytest.approx(evaluations[1], abs=1e-4)
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=0, atol=1e-5 * np.abs(outputs[0]).max())


def test_a_network_in_nhwc_exports_to_onnx(runs: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("paddle2onnx")
    start = f"Global.pretrained_model={out(runs['NHWC']) / 'latest'}"
    given = (*FOUR, LAST, start, f"Global.save_inference_dir={tmp_path / 'to'}")
    assert run("export", write_config(tmp_path), *given, flags=("--onnx",)) == 0
    images = np.random.default_rng(0).standard_normal([3, 4, 32, 32]).astype("float32")
    expected = load_program(tmp_path / "to/inference")(images)
    got = onnx_runner(tmp_path / "to/inference").run(images)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_run_of_three_channels_is_no_start_for_one_of_four(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = f"Global.pretrained_model={out(runs['NHWC']) / 'latest'}"
    text = ends(capsys, 4, "mismatch", "train", write_config(tmp_path), start, *SHORT)
    assert "conv1.0.weight" in text


def test_a_mixed_choice_of_channels_ends_in_a_line_for_each_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ends(capsys, 2, "config", "train", write_config(tmp_path), LAST, "Arch.input_image_channel=4")
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  ")] == [
        "Global.image_shape",
        "DataLoader.Train.dataset.transform_ops.3.NormalizeImage.channel_num",
        "DataLoader.Eval.dataset.transform_ops.1.NormalizeImage.channel_num",
    ]

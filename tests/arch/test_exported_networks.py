"""Exported networks of every file of the zoo answer as the network does, in Paddle Inference and in ONNX Runtime."""

from pathlib import Path

import numpy as np
import paddle
import pytest
from octave_reference import float64_state

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.engine.export import ExportPlan, export, onnx_runner, require_equal
from ppcls.registry import BACKBONES
from ppcls.utils.exported import load_program

CASES = [  # of each file the smallest, and the plain families with octaves
    *(
        (name, {})
        for name in ("MobileNetV1_x0_25", "MobileNetV2_x0_25", "ResNet18_vd", "SE_ResNet18_vd", "DenseNet121")
    ),
    *((name, {}) for name in ("ResNeXt50_32x4d", "OctMobileNetV1_x0_75", "OctMobileNetV2_x1_0", "OctResNet26")),
    *((name, {"alpha": 0.5}) for name in ("MobileNetV1_x0_25", "MobileNetV2_x0_25", "ResNet18_vd", "SE_ResNet18_vd")),
]
SLOW = [(name, {}) for name in ("OctDenseNet121", "OctSE_ResNet50", "OctResNet152_v1f")]  # 10 to 30 s each
PARAMS = [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)]


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal([count, 3, 64, 64]).astype("float32")


@pytest.mark.parametrize("case", PARAMS, ids=lambda case: f"{case[0]} octave" if case[1] else case[0])
def test_exports_to_paddle_inference_and_onnx_give_the_same_logits(case: tuple[str, dict], tmp_path: Path) -> None:
    pytest.importorskip("paddle2onnx")
    name, arguments = case
    network = BACKBONES.get(name)(class_num=5, **arguments)
    float64_state(network)  # a fresh deep network is so badly conditioned that float32 itself is off by 1e-3
    network.to(dtype="float32")
    export(network, ExportPlan(tmp_path / "out", (3, 64, 64), add_softmax=False, onnx=True, about={}))
    for count in (1, 3):
        with paddle.no_grad():
            expected = network(paddle.to_tensor(images(count))).numpy()
        for run in (load_program(tmp_path / "out/inference"), onnx_runner(tmp_path / "out/inference")):
            require_equal(expected, run(images(count)), f"a batch of {count}")

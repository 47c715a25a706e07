"""Exported networks of every file of the zoo answer as the network does, in Paddle Inference and in ONNX Runtime."""

from pathlib import Path

import numpy as np
import paddle
import pytest
from octave_reference import float64_state
from zoo import smallest_of_each_file

from ppcls.engine.export import ExportPlan, export, require_equal
from ppcls.registry import BACKBONES
from ppcls.utils.runners import load_program, onnx_runner

SLOW = {  # 10 to 30 s each
    *("DenseNet121", "DenseNet121 octave", "OctDenseNet121", "OctResNet152_v1f", "OctSE_ResNet50"),
    *("ResNeXt50_32x4d", "ResNeXt50_32x4d octave"),
}
CASES = {  # each at its default alpha, the plain ones with octaves too, and squeeze-excite in octaves
    **{name: (name, {}) for name in [*smallest_of_each_file(), "OctSE_ResNet50"]},
    **{f"{name} octave": (name, {"alpha": 0.5}) for name in smallest_of_each_file() if not name.startswith("Oct")},
}
PARAMS = [pytest.param(*CASES[name], id=name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CASES]


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal([count, 3, 64, 64]).astype("float32")


@pytest.mark.parametrize(("name", "arguments"), PARAMS)
def test_exports_to_paddle_inference_and_onnx_give_the_same_logits(
    name: str, arguments: dict[str, float], tmp_path: Path
) -> None:
    pytest.importorskip("paddle2onnx")
    network = BACKBONES.get(name)(class_num=5, **arguments)
    float64_state(network)  # a fresh deep network is so badly conditioned that float32 itself is off by 1e-3
    network.to(dtype="float32")
    export(network, ExportPlan(tmp_path / "out", (3, 64, 64), add_softmax=False, onnx=True, about={}))
    for count in (1, 3):
        with paddle.no_grad():
            expected = network(paddle.to_tensor(images(count))).numpy()
        for run in (load_program(tmp_path / "out/inference"), onnx_runner(tmp_path / "out/inference").run):
            require_equal(expected, run(images(count)), f"a batch of {count}")

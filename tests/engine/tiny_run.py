"""A run of seconds: a narrow Oct-MobileNetV2 on striped pictures that need no files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from ppcls.cli import main
from ppcls.utils.save_load import read_weights

ROOT = Path(__file__).resolve().parents[2]
NAME = "OctMobileNetV2"
_YAML = """
Global: {{output_dir: {out}, device: cpu, epochs: 2, seed: 7, print_batch_step: 2, image_shape: [3, 32, 32],
  save_inference_dir: {out}/inference}}
Arch: {{name: OctMobileNetV2, scale: 0.125, alpha: 0.5, class_num: 4}}
Loss: {{Train: [CELoss: {{weight: 1.0, epsilon: 0.1}}], Eval: [CELoss: {{weight: 1.0}}]}}
Metric: {{Eval: [TopkAcc: {{topk: [1, 2]}}]}}
Optimizer:
  name: Momentum
  momentum: 0.9
  lr: {{name: Cosine, learning_rate: 0.01, warmup_epoch: 1, eta_min: 0.002}}
  regularizer: {{name: L2, coeff: 3e-5}}
DataLoader:
  Train:
    dataset:
      name: SyntheticDataset
      samples: 22
      side: 40
      transform_ops:
        - DecodeImage: {{to_rgb: True}}
        - RandCropImage: {{size: 32}}
        - RandFlipImage: {{flip_code: 1}}
        - NormalizeImage: {{order: ''}}
      batch_transform_ops:
        - MixupOperator: {{alpha: 0.2}}
    sampler: {{name: DistributedBatchSampler, batch_size: 8, shuffle: True}}
    loader: {{num_workers: 2}}
  Eval:
    dataset:
      name: SyntheticDataset
      samples: 10
      side: 32
      transform_ops: [DecodeImage: {{}}, NormalizeImage: {{order: ''}}]
    sampler: {{name: DistributedBatchSampler, batch_size: 8}}
    loader: {{num_workers: 2}}
Infer:
  infer_imgs: {out}
  batch_size: 2
  transforms: [DecodeImage: {{}}, ResizeImage: {{size: 32}}, NormalizeImage: {{order: ''}}, ToCHWImage: {{}}]
  PostProcess: {{name: Topk, topk: 2}}
"""
STAGES = """
Stages:
  - name: first
  - name: second
    Optimizer: {lr: {learning_rate: 0.004, warmup_epoch: 0, eta_min: 0.0}}
"""

# What the test chain of PaddleClas (TIPC) puts behind every training.
TIPC = (
    *("Global.seed=1234", "DataLoader.Train.sampler.shuffle=False", "DataLoader.Train.loader.num_workers=0"),
    *("DataLoader.Train.loader.use_shared_memory=False", "Global.epochs=2", "DataLoader.Train.sampler.batch_size=8"),
    *("Global.eval_during_train=False", "Global.save_interval=2", "Global.print_mem_info=True"),
)


def write_config(folder: Path, more: str = "") -> Path:
    """The tiny run's YAML in ``folder``, writing into ``folder/out``."""
    path = folder / "tiny.yaml"
    path.write_text(_YAML.format(out=folder / "out") + more, encoding="utf-8")
    return path


def run(command: str, config: Path, *overrides: str, flags: tuple[str, ...] = ()) -> int:
    """One command in this process; its exit code."""
    words = [word for override in overrides for word in ("-o", override)]
    return main([command, "-c", str(config), *words, *flags])


def train(folder: Path, *overrides: str, flags: tuple[str, ...] = (), more: str = "", code: int = 0) -> Path:
    """Train in ``folder`` until the run ends with ``code``; the run's folder."""
    config = write_config(folder, more)
    assert run("train", config, *overrides, flags=flags) == code
    return folder / "out" / NAME


def weights(prefix: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint."""
    return read_weights(f"{prefix}.pdparams").arrays


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two sets of weights agree bit for bit."""
    return list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in one)


def events(folder: Path) -> list[dict[str, object]]:
    """The rows of ``metrics.jsonl`` without what depends on the clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = ("batch_cost", "reader_cost", "ips", "total_ips", "time")
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]


def tool(name: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``python tools/<name>.py`` as a user types it."""
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)

"""Text -> config loader: a run comes out or the one error of configs, soon, and nothing runs."""

import os
from pathlib import Path

import pytest
import yaml
from fuzzing import Rng, fuzz, mutated, pick, refused

from ppcls.config import describe, load_run, resolved_yaml
from ppcls.config.load import load_text
from ppcls.utils.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
FILES = ("train1.yaml", "two_stage.yaml", "quick_start/digits.yaml", "infer.yaml")
GOOD = [(ROOT / "configs" / name).read_bytes() for name in FILES]
KEYS = ("Global", "epochs", "Arch", "name", "class_num", "Stages", "_base_", "<<", "lr", "transform_ops", "é", "")
KEYS += ("a.b", '"\\x1b[2J"', '"\\0"')
VALUES = (
    *("1", "-1", "1e3", "1e999", ".nan", "-.inf", "0x" + "f" * 5000, "9" * 5000, "010", "1:30", "on", "null", "~"),
    "[]",
    *("{}", "''", '"\\0"', '"\\uD800"', '"\\UFFFFFFFF"', '"\\U00110000"', '"\\x1b[2J"', "*a", "&a [*a]", "!!float x"),
    *("!!python/object/apply:os.system [id]", "!x y", "? a", "- b", "| \n  c", "%YAML 9.9", "a: b: c", "{a: 1, a: 2}"),
    *("Cosine", "OctMobileNetV2_x1_125", "[3, 224, 224]", "1.0/255.0", "'" + "x" * 5000 + "'", "\u2028", "# c", "\t"),
)
DOTTED = ("Global.epochs", "Arch.class_num", "DataLoader.Train.dataset.transform_ops.1", "Stages.0", "Optimizer.lr")
DOTTED += ("Optimizer.lr.learning_rate", "Global.output_dir", "Global", "", ".", "a..b", "Loss.Train.0.CELoss.weight")
DOTTED += ("Global.seed", "Metric.Eval.0", "DataLoader.Train.dataset.image_root", "Global.pretrained_model", "Hooks")


def _text(rng: Rng, depth: int = 0) -> str:
    """A YAML of right and wrong pieces, mostly indented as it should be."""
    lines = []
    for _ in range(int(rng.integers(1, 6))):
        key, value = str(pick(rng, KEYS)), str(pick(rng, VALUES))
        if depth < 4 and rng.random() < 0.4:
            value = "\n" + "\n".join(f"  {line}" for line in _text(rng, depth + 1).split("\n"))
        lines.append(f"- {value}" if rng.random() < 0.2 else f"{key}: {value}")
    return "\n".join(lines)


def _load(file: Path, overrides: list[str], mode: str) -> None:
    run = load_run(str(file), overrides, mode)
    for stage in run.stages:
        assert isinstance(yaml.safe_load(resolved_yaml(stage)), dict)
        describe(stage)


def test_a_text_is_a_run_or_refused_in_lines_that_can_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "fuzzed.yaml"

    def check(rng: Rng) -> None:
        data = GOOD[int(rng.integers(len(GOOD)))]
        kind = rng.random()
        if kind < 0.5:
            data = mutated(data, GOOD, rng)
        elif kind < 0.7:
            data = _text(rng).encode("utf-8", "surrogatepass")
        elif kind < 0.8:
            data = data + b"\n" + _text(rng).encode("utf-8", "surrogatepass")
        file.write_bytes(data)
        count = int(rng.integers(4)) if kind >= 0.8 else 0
        overrides = [f"{pick(rng, DOTTED)}={pick(rng, VALUES)}" for _ in range(count)]
        mode = str(pick(rng, ("train", "eval", "infer", "export")))
        refused(lambda: _load(file, overrides, mode), ConfigError, ("config", "usage"))

    assert fuzz(check) > 10 or os.environ.get("PPCLS_FUZZ_CASE")
    assert [path.name for path in tmp_path.iterdir()] == ["fuzzed.yaml"]


def test_any_text_is_a_value_or_refused_with_its_place() -> None:
    def check(rng: Rng) -> None:
        text = _text(rng) if rng.random() < 0.5 else mutated(_text(rng).encode(), GOOD, rng).decode("latin1")
        refused(lambda: load_text(text, "x.yaml"), ConfigError, ("config",))

    assert fuzz(check) > 100 or os.environ.get("PPCLS_FUZZ_CASE")

"""The resolved configuration: as YAML that comes back equal, as start-up lines, as a command."""

from pathlib import Path

import pytest

from ppcls.config import describe, load_run, resolved_yaml
from ppcls.config.load import load_text

HERE = Path(__file__).parent
RECIPES = ["train1.yaml", "two_stage.yaml", "infer.yaml", str(HERE / "paddleclas_2_6.yaml")]


@pytest.mark.parametrize("mode", ["train", "eval", "export"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_resolved_yaml_loads_to_the_same_stage(tmp_path: Path, recipe: str, mode: str):
    for stage in load_run(recipe, ["Optimizer.lr.warmup_start_lr=1e-6"], mode).stages:
        path = tmp_path / "config.yaml"
        path.write_text(resolved_yaml(stage))
        (again,) = load_run(path, (), mode).stages
        assert (again.name, again.folder, again.config) == (stage.name, stage.folder, stage.config)


def test_base_batch_size_stands_under_lr_and_comes_back(tmp_path: Path):
    (stage,) = load_run("train1.yaml", ["Optimizer.lr.base_batch_size=2048"]).stages
    assert stage.config.Optimizer.base_batch_size == 2048
    path = tmp_path / "config.yaml"
    path.write_text(resolved_yaml(stage))
    assert load_run(path).stages[0].config == stage.config


@pytest.mark.parametrize("text", ["None", "1e-3", "010", "yes", "1:30", "", "a: b", "#", "true", "été", "9" * 5000])
def test_text_that_looks_like_something_else_comes_back_as_text(tmp_path: Path, text: str):
    quoted = "'" + text + "'"
    (stage,) = load_run("train1.yaml", [f"Global.save_inference_dir={quoted}"]).stages
    assert load_text(resolved_yaml(stage), "a")["Global"]["save_inference_dir"] == text


def test_defaults_are_written_out():
    text = resolved_yaml(load_run("train1.yaml").stages[0])
    assert "  start_eval_epoch: 0\n" in text
    assert "use_amp: false" in text


def test_start_up_lines_are_indented_and_mark_what_o_has_set():
    (stage,) = load_run("train1.yaml", ["Global.epochs=2", "Metric.Eval.0.TopkAcc.topk=[1,5]"]).stages
    lines = describe(stage)
    assert lines[0] == "Global :"
    assert "    epochs : 2    (-o)" in lines
    assert "    seed : 134" in lines
    metric = lines.index("Metric :")
    assert lines[metric : metric + 4] == [
        "Metric :",
        "    Eval :",
        "        TopkAcc :",
        "            topk : [1, 5]    (-o)",
    ]
    assert sum("(-o)" in line for line in lines) == 2

"""One file, several stages: what each holds, where it runs, and how problems are told."""

from pathlib import Path

import pytest

from ppcls.config import ConfigError, find_config, load_run

CONFIGS = Path(__file__).parents[2] / "configs"


def two(tmp_path: Path, stages: str) -> Path:
    """A file of train1.yaml's sections that ends in other stages."""
    path = tmp_path / "two.yaml"
    path.write_text(f"_base_: {CONFIGS / 'train1.yaml'}\n{stages}")
    return path


def test_file_without_stages_is_one_nameless_stage():
    (stage,) = load_run("train1.yaml").stages
    assert (stage.name, stage.folder) == ("", Path("output/OctMobileNetV2_x1_125"))


def test_entries_are_merged_over_the_rest_and_have_a_folder_each():
    first, second = load_run("two_stage.yaml").stages
    assert [first.folder, second.folder] == [
        Path("output/OctMobileNetV2_x1_125") / name for name in ("stage1", "stage2")
    ]
    assert (first.config.Global.eval_interval, second.config.Global.eval_interval) == (5, 1)
    assert first.config.Optimizer.lr.kwargs == {"learning_rate": 0.5, "warmup_epoch": 5.0, "eta_min": 0.25}
    assert second.config.Optimizer.lr.kwargs == {"learning_rate": 0.25, "warmup_epoch": 0.0, "eta_min": 0.0}


def test_override_reaches_every_stage_and_that_of_one_stage_wins():
    run = load_run(
        "two_stage.yaml",
        ["Stages.1.Global.epochs=7", "Global.epochs=2", "Global.eval_interval=9", "Stages.-2.Arch.class_num=5"],
    )
    first, second = (stage.config for stage in run.stages)
    assert (first.Global.epochs, second.Global.epochs) == (2, 7)
    assert (first.Global.eval_interval, second.Global.eval_interval) == (9, 9)
    assert (first.Arch.class_num, second.Arch.class_num) == (5, 1000)
    assert run.stages[1].overrides == {"Global.epochs", "Global.eval_interval"}


def test_last_of_equal_overrides_wins():
    assert load_run("train1.yaml", ["Global.epochs=2", "Global.epochs=3"]).stages[0].config.Global.epochs == 3


def test_stage_can_be_renamed():
    assert load_run("two_stage.yaml", ["Stages.0.name=warm"]).stages[0].folder.name == "warm"


def test_problem_of_one_stage_is_told_under_its_name_and_one_of_all_once(tmp_path: Path):
    path = two(tmp_path, "Stages:\n  - {name: a, Global: {epoch: 3}}\n  - {name: b}\n")
    with pytest.raises(ConfigError) as caught:
        load_run(path, ["Arch.class_num=0"])
    assert str(caught.value).splitlines() == [
        f"{path}: 2 problems",
        "  a: Global.epoch  unknown key; did you mean 'epochs'?",
        "  Arch.class_num   expected at least 1; got 0",
    ]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("Stages: []", r"Stages +expected a list of mappings, each with a name"),
        ("Stages: {a: 1}", r"Stages +expected a list of mappings, each with a name"),
        ("Stages: [{Global: {epochs: 1}}]", r"Stages\.0\.name +expected a word that can name a folder; got None"),
        ("Stages: [{name: ../x}]", r"Stages\.0\.name +expected a word that can name a folder; got '\.\./x'"),
        ("Stages: [{name: a}, {name: A}]", r"Stages\.1\.name +'A' is taken; two stages need two folders"),
    ],
)
def test_stage_names_are_distinct_and_fit_to_be_folders(tmp_path: Path, stages: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_run(two(tmp_path, stages))


@pytest.mark.parametrize(
    ("file", "override", "message"),
    [
        ("train1.yaml", "Stages.0.Global.epochs=1", r"Stages\.0\.Global\.epochs +this file has no Stages"),
        ("two_stage.yaml", "Stages.2.Global.epochs=1", r"expected Stages\.<index>\.<key>, index 0 to 1"),
        ("two_stage.yaml", "Stages.stage1.Global.epochs=1", r"expected Stages\.<index>\.<key>, index 0 to 1"),
        ("two_stage.yaml", "Stages=null", r"expected Stages\.<index>\.<key>"),
        (
            "two_stage.yaml",
            "Metric.Eval.TopkAcc.topk=1",
            r"  Metric\.Eval\.TopkAcc\.topk .*'Metric\.Eval\.0\.TopkAcc\.topk'",
        ),
    ],
)
def test_override_that_reaches_no_stage_is_refused(file: str, override: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_run(file, [override])


def test_config_is_tried_as_a_path_and_then_under_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("train1.yaml") == CONFIGS / "train1.yaml"
    Path("train1.yaml").write_text("{}")
    assert find_config("train1.yaml") == Path("train1.yaml")
    with pytest.raises(ConfigError, match=rf"no such config: nowhere\.yaml; nor {CONFIGS}/nowhere\.yaml"):
        find_config("nowhere.yaml")

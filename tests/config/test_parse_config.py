"""Which values a configuration takes, and how everything wrong with one is told."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppcls.config import Config, load_run
from ppcls.config.catalogue import build_catalogue
from ppcls.config.load import load_document
from ppcls.config.override import apply_override, parse_override
from ppcls.config.parse import parse_config
from ppcls.utils.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


def parsed(*overrides: str, file: str = "train1.yaml", mode: str = "train") -> tuple[Config | None, dict[str, str]]:
    """The configuration of a recipe after ``-o``, and its problems by key."""
    document = copy.deepcopy(load_document(CONFIGS / file))
    for text in overrides:
        apply_override(document, parse_override(text))
    config, problems = parse_config(document, mode, build_catalogue())
    return config, dict(problems)


def accepted(*overrides: str, mode: str = "train", file: str = "train1.yaml") -> Config:
    """The configuration, which must have no problem."""
    config, problems = parsed(*overrides, mode=mode, file=file)
    assert not problems
    assert config is not None
    return config


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("save_interval=null", 0),
        ("save_interval=-1", -1),
        ("eval_interval=", 0),
        ("print_batch_step=0", 0),
        ("use_visualdl=yes", True),
        ("use_visualdl=off", False),
        ("seed=0", 0),
        ("seed=False", None),
        ("seed=null", None),
        ("log_ranks=0,1,2", (0, 1, 2)),
        ("log_ranks=1", (1,)),
        ("log_ranks='0'", (0,)),
        ("device=gpu:3", "gpu:3"),
        ("device=auto", "auto"),
        ("image_shape=[3,64,64]", (3, 64, 64)),
        ("use_dali=True", True),
        ("checkpoints=auto", "auto"),
        ("pretrained_model=None", None),
        ("keep_last=1", 1),
        ("save_every_steps=100", 100),
    ],
)
def test_global_key_takes_the_values_that_users_write(override: str, value: object):
    got = getattr(accepted(f"Global.{override}").Global, override.partition("=")[0])
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("override", "key", "message"),
    [
        ("Global.epoch=3", "Global.epoch", "unknown key; did you mean 'epochs'?"),
        ("epochs=3", "epochs", "unknown key; did you mean 'Global.epochs'?"),
        ("Globl.epochs=3", "Globl", "unknown key; did you mean 'Global'?"),
        ("a=__import__('os').getpid()", "a", "unknown key"),
        ("Global.epochs=0", "Global.epochs", "expected at least 1; got 0"),
        ("Global.epochs=two", "Global.epochs", "expected an integer; got 'two'"),
        ("Global.epochs=on", "Global.epochs", "expected an integer; got 'on'"),
        ("Global.use_visualdl=maybe", "Global.use_visualdl", "expected True or False; got 'maybe'"),
        ("Global.seed=-1", "Global.seed", "expected at least 0; got -1"),
        ("Global.log_ranks=a", "Global.log_ranks", "expected a list of integers; got 'a'"),
        ("Global.log_ranks=[-1]", "Global.log_ranks", "expected ranks from 0 on, as in '0,1'; got [-1]"),
        ("Global.image_shape=[3,224]", "Global.image_shape", "expected a list of 3; got [3, 224]"),
        ("Global.image_shape=[3,0,224]", "Global.image_shape", "expected at least 1; got [3, 0, 224]"),
        ("Global.on_nan=ignore", "Global.on_nan", "expected one of 'stop', 'skip', 'rollback'; got 'ignore'"),
        ("Global=3", "Global", "expected a mapping; got 3"),
        ("Arch.name=OctMobilNetV2", "Arch.name", "unknown backbone 'OctMobilNetV2'; did you mean 'OctMobileNetV2'?"),
        ("Arch.name=", "Arch.name", "missing"),
        ("Arch.alhpa=0.5", "Arch.alhpa", "OctMobileNetV2_x1_125 has no such argument; did you mean 'alpha'?"),
        (
            "Arch.class_nums=5",
            "Arch.class_nums",
            "OctMobileNetV2_x1_125 has no such argument; did you mean 'class_num'?",
        ),
        ("Arch.alpha=half", "Arch.alpha", "expected a number; got 'half'"),
        ("Loss.Train=null", "Loss.Train", "missing; for example [{CELoss: {weight: 1.0}}]"),
        (
            "Loss.Train.0.CELoss.epsilom=0.1",
            "Loss.Train.0.CELoss.epsilom",
            "CELoss has no such argument; did you mean 'epsilon'?",
        ),
        ("Loss.Train.0.CELoss.weight=a", "Loss.Train.0.CELoss.weight", "expected a number; got 'a'"),
        ("Loss.Train={CELoss: {}}", "Loss.Train", "expected a list of {Name: {arguments}}; got {'CELoss': {}}"),
        ("Loss.Train=[CELoss]", "Loss.Train.0", "expected one {Name: {arguments}}; got 'CELoss'; write {CELoss: }"),
        ("Loss.Trian=[]", "Loss.Trian", "unknown key; did you mean 'Train'?"),
        ("Metric.Eval.0.TopkAcc.topk=[1,0]", "Metric.Eval.0.TopkAcc.topk", "expected at least 1; got [1, 0]"),
        ("Optimizer=null", "Optimizer", "missing"),
        ("Optimizer.momentun=0.9", "Optimizer.momentun", "Momentum has no such argument; did you mean 'momentum'?"),
        ("Optimizer.lr.learning_rate=fast", "Optimizer.lr.learning_rate", "expected a number; got 'fast'"),
        ("Optimizer.lr.learning_rate=.nan", "Optimizer.lr.learning_rate", "expected a finite number; got nan"),
        ("Optimizer.lr=null", "Optimizer.lr.learning_rate", "missing"),
        ("Optimizer.lr.eta_mim=0", "Optimizer.lr.eta_mim", "Cosine has no such argument; did you mean 'eta_min'?"),
        ("Optimizer.regularizer.name=L3", "Optimizer.regularizer.name", "expected one of 'L1', 'L2'; got 'L3'"),
        ("Optimizer.regularizer={name: L2}", "Optimizer.regularizer.coeff", "missing"),
        ("DataLoader.Train=null", "DataLoader.Train", "missing"),
        ("DataLoader.Eval=null", "DataLoader.Eval", "missing"),
        ("DataLoader.Train.sampler.batch_size=0", "DataLoader.Train.sampler.batch_size", "expected at least 1; got 0"),
        ("DataLoader.Train.sampler={}", "DataLoader.Train.sampler.batch_size", "missing"),
        (
            "DataLoader.Train.loader.num_worker=1",
            "DataLoader.Train.loader.num_worker",
            "unknown key; did you mean 'num_workers'?",
        ),
        (
            "DataLoader.Train.loader.backend=fork",
            "DataLoader.Train.loader.backend",
            "expected one of 'thread', 'process'; got 'fork'",
        ),
        ("DataLoader.Train.dataset.image_root=null", "DataLoader.Train.dataset.image_root", "expected text; got null"),
        (
            "DataLoader.Train.dataset.on_error=ignore",
            "DataLoader.Train.dataset.on_error",
            "expected one of 'skip', 'stop'; got 'ignore'",
        ),
        (
            "DataLoader.Eval.dataset.on_error=skip",
            "DataLoader.Eval.dataset.on_error",
            "expected one of 'stop', 'count_wrong'; got 'skip'",
        ),
        (
            "DataLoader.Train.dataset.transform_ops.1={RandCropImg: {}}",
            "DataLoader.Train.dataset.transform_ops.1.RandCropImg",
            "unknown transform op 'RandCropImg'; did you mean 'RandCropImage'?",
        ),
        (
            "DataLoader.Train.dataset.transform_ops.1.RandCropImage.size=big",
            "DataLoader.Train.dataset.transform_ops.1.RandCropImage.size",
            "expected an integer or a list of 2 integers; got 'big'",
        ),
        (
            "DataLoader.Train.dataset.transform_ops.1={ToCHWImage: }",
            "DataLoader.Train.dataset.transform_ops.1.ToCHWImage",
            "belongs to Infer.transforms only: the dataset transposes at the end",
        ),
        (
            "DataLoader.Eval.dataset.batch_transform_ops=[{MixupOperator: }]",
            "DataLoader.Eval.dataset.batch_transform_ops",
            "mixes labels, so it belongs to DataLoader.Train only",
        ),
        ("AMP.level=O3", "AMP.level", "expected one of 'O1', 'O2'; got 'O3'"),
        ("EMA.decay=1.0", "EMA.decay", "expected a number below 1; got 1.0"),
        ("Hooks=[{EarlyStopp: {}}]", "Hooks.0.EarlyStopp", "unknown hook 'EarlyStopp'"),
    ],
)
def test_wrong_setting_is_told_under_its_key(override: str, key: str, message: str):
    _, problems = parsed(override)
    assert problems.get(key, "").startswith(message), problems


@pytest.mark.parametrize("device", ["xpu", "npu", "cuda", "gpu:", "gpu:x", "GPU"])
def test_device_that_is_not_offered_is_named(device: str):
    _, problems = parsed(f"Global.device={device}")
    assert problems["Global.device"].startswith(f"expected cpu, gpu, gpu:N or auto; got {device!r}")


def test_all_problems_come_at_once_in_one_aligned_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    document = yaml.safe_load((CONFIGS / "train1.yaml").read_text())
    document["Global"]["epoch"] = document["Global"].pop("epochs")
    document["DataLoader"]["Train"]["dataset"]["transform_ops"][1] = {"RandCropImg": {"size": 224}}
    document["AMP"] = {"use_amp": False, "level": "O3"}
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError) as caught:
        load_run("mine.yaml")
    assert str(caught.value).splitlines() == [
        "mine.yaml: 4 problems",
        "  Global.epoch                                          unknown key; did you mean 'epochs'?",
        "  Global.epochs                                         missing",
        "  DataLoader.Train.dataset.transform_ops.1.RandCropImg  "
        "unknown transform op 'RandCropImg'; did you mean 'RandCropImage'?",
        "  AMP.level                                             expected one of 'O1', 'O2'; got 'O3'",
    ]
    assert caught.value.code == 2


def test_fractions_and_integers_become_the_numbers_that_signatures_ask_for():
    config = accepted()
    normalise = config.DataLoader.Train.dataset.transform_ops[-1]
    assert normalise.kwargs["scale"] == 1.0 / 255.0
    assert config.Optimizer.lr.kwargs["warmup_epoch"] == 5.0
    assert config.Optimizer.regularizer.coeff == 3e-5


def test_section_keys_leave_the_component_and_the_rest_stays():
    config = accepted("Optimizer.clip_norm=1", "Optimizer.use_nesterov=on", "Arch.alpha=0.25")
    assert config.Optimizer.component.kwargs == {"momentum": 0.9, "use_nesterov": True}
    assert config.Optimizer.clip_norm == 1.0
    assert (config.Arch.name, config.Arch.component.kwargs) == ("OctMobileNetV2_x1_125", {"alpha": 0.25})
    assert (config.Optimizer.lr.name, config.Optimizer.lr.key) == ("Cosine", "Optimizer.lr")


def test_lr_without_name_is_constant():
    assert accepted("Optimizer.lr={learning_rate: 0.1}").Optimizer.lr.name == "ConstLR"


def test_null_regularizer_is_none():
    assert accepted("Optimizer.regularizer=null").Optimizer.regularizer is None


def test_list_form_of_one_optimizer_is_the_mapping():
    mapping = accepted().Optimizer
    arguments = "momentum: 0.9, lr: {name: Cosine, learning_rate: 0.5, warmup_epoch: 5, eta_min: 0.25}"
    text = f"Optimizer=[{{Momentum: {{scope: all, {arguments}, regularizer: {{name: L2, coeff: 3e-5}}}}}}]"
    assert accepted(text).Optimizer == mapping
    _, problems = parsed(text.replace("scope: all", "scope: backbone"))
    assert problems["Optimizer.0.Momentum.scope"].startswith("'backbone' is not offered")


def test_sampler_without_name_is_not_distributed():
    assert accepted("DataLoader.Train.sampler={batch_size: 8}").DataLoader.Train.sampler.name == "BatchSampler"


def test_absent_and_null_amp_are_off():
    assert not accepted().AMP.use_amp
    assert not accepted("AMP=null").AMP.use_amp
    assert not accepted("AMP={scale_loss: 128.0, use_amp: False}").AMP.use_amp


def test_metrics_are_optional():
    assert accepted("Metric=null").Metric.Eval == ()
    assert accepted("Metric.Train=null").Metric.Train == ()


def test_step_each_epoch_of_old_recipes_is_left_to_the_engine():
    lr = "Optimizer.lr={name: MultiStepDecay, learning_rate: 0.1, milestones: [3], step_each_epoch: 10}"
    assert accepted(lr).Optimizer.lr.kwargs == {"learning_rate": 0.1, "milestones": [3]}


def test_ops_inside_an_op_are_checked():
    key = "DataLoader.Train.dataset.batch_transform_ops"
    accepted(key + "=[{OpSampler: {MixupOperator: {alpha: 0.8, prob: 0.5}}}]")
    _, problems = parsed(key + "=[{OpSampler: {MixupOperator: {alpa: 0.8, prob: often}}}]")
    assert problems == {
        f"{key}.0.OpSampler.MixupOperator.alpa": "MixupOperator has no such argument; did you mean 'alpha'?",
        f"{key}.0.OpSampler.MixupOperator.prob": "expected a number; got 'often'",
    }


@pytest.mark.parametrize(
    ("mode", "sections"),
    [
        ("eval", ("Loss.Train", "Metric.Train", "Optimizer", "DataLoader.Train", "Infer", "Loss", "Global.epochs")),
        ("infer", ("Loss", "Metric", "Optimizer", "DataLoader", "Global.epochs")),
        ("export", ("Loss", "Metric", "Optimizer", "DataLoader", "Infer", "Global.epochs")),
    ],
)
def test_mode_needs_only_what_it_uses(mode: str, sections: tuple[str, ...]):
    document = load_document(CONFIGS / "infer.yaml")
    for section in sections:
        *parents, last = section.split(".")
        here: Any = document
        for part in parents:
            here = here.get(part, {})
        here.pop(last, None)
    _, problems = parse_config(document, mode, build_catalogue())
    assert problems == []


@pytest.mark.parametrize(
    ("mode", "section", "key"),
    [
        ("eval", "DataLoader", "DataLoader.Eval"),
        ("infer", "Infer", "Infer"),
        ("export", "Arch", "Arch.name"),
    ],
)
def test_mode_misses_what_it_uses(mode: str, section: str, key: str):
    document = load_document(CONFIGS / "infer.yaml")
    del document[section]
    _, problems = parse_config(document, mode, build_catalogue())
    assert dict(problems)[key] == "missing"


def test_infer_needs_pictures_and_transforms():
    _, problems = parsed("Infer={PostProcess: {topk: 0}}", mode="infer", file="infer.yaml")
    assert problems == {
        "Infer.infer_imgs": "missing: a picture or a folder; or give infer_list",
        "Infer.transforms": "missing; for example [{DecodeImage: {}}, ..., {ToCHWImage: }]",
        "Infer.PostProcess.topk": "expected at least 1; got 0",
    }


def test_mode_tolerates_what_is_not_offered_in_sections_it_does_not_use():
    ops = "DataLoader.Train.dataset.transform_ops=[{GridMask: {}}]"
    accepted(ops, "Optimizer.clip_grad=5.0", "Optimizer.momentum=null", mode="eval")
    _, problems = parsed(ops, mode="train")
    assert len(problems) == 1


def test_unknown_key_is_refused_in_sections_that_the_mode_does_not_use_too():
    ops = "DataLoader.Train.dataset.transform_ops"
    _, problems = parsed("DataLoader.Train.sampler.batchsize=3", f"{ops}.1.RandCropImage.siz=3", mode="eval")
    assert problems == {
        f"{ops}.1.RandCropImage.siz": "RandCropImage has no such argument; did you mean 'size'?",
        "DataLoader.Train.sampler.batchsize": "unknown key; did you mean 'batch_size'?",
    }


def test_eval_loader_is_not_needed_when_nothing_is_evaluated():
    assert accepted("Global.eval_during_train=False", "DataLoader.Eval=null").DataLoader.Eval is None


def test_a_name_that_no_file_can_have_is_no_config():
    with pytest.raises(ConfigError, match="no such config: xxx"):
        load_run("x" * 5000)


def test_a_key_is_shown_without_its_control_characters(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text((CONFIGS / "train1.yaml").read_text() + '"\\x1b[2J": 1\n')
    with pytest.raises(ConfigError, match=r"  \\x1b\[2J +unknown key"):
        load_run(path)

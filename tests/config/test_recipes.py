"""The shipped recipes hold the published values, and files written for other systems are read unedited."""

from pathlib import Path

import pytest

from ppcls.config import Config, load_run
from ppcls.config.load import load_document

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
TIPC = "ImageNet/OctMobileNetV2/OctMobileNetV2_x1_125.yaml"


def config_of(name: str, mode: str = "train") -> Config:
    """The only stage of a recipe."""
    return load_run(name, (), mode).stages[0].config


# The published table: epochs, rate, warm-up, final rate, L2, batch, crop, mixup, smoothing, resize, seed, intervals.
@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("train1.yaml", (200, 0.5, 5.0, 0.25, 3e-5, 512, 192, 0.2, 0.1, 232, 134, (1, 5, 30))),
        ("train2.yaml", (200, 0.25, 0.0, 0.0, 3e-5, 512, 192, 0.2, 0.1, 232, 134, (1, 1, 30))),
        ("eval.yaml", (200, 0.25, 0.0, 0.0, 3e-5, 512, 192, 0.2, 0.1, 232, 134, (1, 1, 30))),
        ("infer.yaml", (240, 0.045, 0.0, 0.0, 4e-5, 64, 224, None, None, 256, None, (1, 1, 10))),
        ("train.yaml", (400, 0.5, 5.0, 0.0, 3e-5, 512, 192, 0.2, 0.1, 232, 134, (1, 5, 30))),
        (TIPC, (400, 0.5, 5.0, 0.0, 3e-5, 512, 192, 0.2, 0.1, 232, 134, (1, 5, 30))),
    ],
)
def test_recipe_holds_the_published_values(name: str, row: tuple[object, ...]):
    config = config_of(name)
    train, judge = config.DataLoader.Train, config.DataLoader.Eval
    ops = {op.name: op.kwargs for op in (*train.dataset.transform_ops, *judge.dataset.transform_ops)}
    mixing = [op.kwargs["alpha"] for op in train.dataset.batch_transform_ops]
    lr, settings = config.Optimizer.lr.kwargs, config.Global
    assert train.sampler.batch_size == judge.sampler.batch_size
    assert (
        settings.epochs,
        lr["learning_rate"],
        lr.get("warmup_epoch", 0.0),
        lr.get("eta_min", 0.0),
        config.Optimizer.regularizer.coeff,
        train.sampler.batch_size,
        ops["RandCropImage"]["size"],
        mixing[0] if mixing else None,
        config.Loss.Train[0].kwargs.get("epsilon"),
        ops["ResizeImage"]["resize_short"],
        settings.seed,
        (settings.save_interval, settings.eval_interval, settings.print_batch_step),
    ) == row


@pytest.mark.parametrize("name", ["train1.yaml", "train2.yaml", "eval.yaml", "infer.yaml", "train.yaml", TIPC])
def test_recipe_holds_what_all_recipes_share(name: str):
    config = config_of(name)
    train, judge = config.DataLoader.Train, config.DataLoader.Eval
    assert (config.Arch.name, config.Arch.class_num) == ("OctMobileNetV2_x1_125", 1000)
    assert (config.Optimizer.component.name, config.Optimizer.component.kwargs) == ("Momentum", {"momentum": 0.9})
    assert (config.Optimizer.lr.name, config.Optimizer.regularizer.name) == ("Cosine", "L2")
    assert [op.name for op in train.dataset.transform_ops] == [
        "DecodeImage",
        "RandCropImage",
        "RandFlipImage",
        "NormalizeImage",
    ]
    assert [op.name for op in judge.dataset.transform_ops] == [
        "DecodeImage",
        "ResizeImage",
        "CropImage",
        "NormalizeImage",
    ]
    assert judge.dataset.transform_ops[2].kwargs == {"size": 224}
    normalise = train.dataset.transform_ops[-1].kwargs
    assert (normalise["scale"], normalise["order"]) == (1.0 / 255.0, "")
    assert [*normalise["mean"], *normalise["std"]] == [0.485, 0.456, 0.406, 0.229, 0.224, 0.225]
    assert config.Loss.Eval[0].kwargs == {"weight": 1.0}
    assert (train.sampler.shuffle, judge.sampler.shuffle, train.sampler.drop_last) == (True, False, False)
    assert (train.loader.num_workers, train.sampler.name) == (4, "DistributedBatchSampler")
    assert train.dataset.component.kwargs["cls_label_path"] == "./dataset/ILSVRC2012/train_list.txt"
    assert judge.dataset.component.kwargs["cls_label_path"] == "./dataset/ILSVRC2012/val_list.txt"


def test_infer_recipes_name_the_five_best_classes():
    for name in ("infer.yaml", TIPC):
        infer = config_of(name, "infer").Infer
        assert (infer.infer_imgs, infer.batch_size) == ("demo/cat.jpg", 10)
        assert [op.name for op in infer.transforms][-1] == "ToCHWImage"
        assert infer.transforms[1].kwargs == {"resize_short": 256}
        assert infer.PostProcess.kwargs["topk"] == 5


def test_two_stage_is_train1_then_train2_but_for_where_things_lie():
    def numbers(config: Config) -> tuple[object, ...]:
        settings = config.Global
        every = (settings.epochs, settings.eval_interval, settings.seed, settings.print_batch_step)
        return every, config.Arch, config.Loss, config.Metric, config.DataLoader

    for stage, name in zip(load_run("two_stage.yaml").stages, ("train1.yaml", "train2.yaml"), strict=True):
        assert numbers(stage.config) == numbers(config_of(name))
        lr, other = stage.config.Optimizer.lr.kwargs, config_of(name).Optimizer.lr.kwargs
        assert lr == {"eta_min": 0.0, **other}


def test_each_recipe_starts_where_the_one_before_ends():
    first, second = load_run("train1.yaml").stages[0], load_run("train2.yaml").stages[0]
    assert Path(second.config.Global.pretrained_model) == first.folder / "epoch_200"
    assert second.folder != first.folder
    for name, mode in (("eval.yaml", "eval"), ("infer.yaml", "infer")):
        assert Path(config_of(name, mode).Global.pretrained_model) == second.folder / "best_model"


RECIPES = sorted(path for path in CONFIGS.rglob("*.yaml") if "_base_" not in path.parts)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_opens_with_what_it_is_and_how_to_run_it(path: Path):
    head = [line for line in path.read_text().splitlines()[:6] if line.startswith("#")]
    assert len(head) >= 2
    assert any(path.name in line for line in head)


@pytest.mark.parametrize("name", ["paddleclas_2_6.yaml", "reproduction_2_2.yaml"])
@pytest.mark.parametrize("mode", ["train", "eval", "export"])
def test_file_of_another_system_is_read_unedited(name: str, mode: str):
    (stage,) = load_run(HERE / name, (), mode).stages
    assert stage.config.Arch.name == "OctMobileNetV2_x1_125"


def test_values_of_a_paddleclas_file_arrive_as_numbers():
    config = config_of(str(HERE / "paddleclas_2_6.yaml"))
    assert config.Optimizer.lr.kwargs == {
        "learning_rate": 0.1,
        "decay_epochs": [30, 60, 90],
        "values": [0.1, 0.01, 0.001, 0.0001],
        "warmup_epoch": 5.0,
        "warmup_start_lr": 1e-6,
    }
    assert config.Global.use_dali
    assert not config.AMP.use_amp
    assert config.Global.image_shape == (3, 224, 224)
    mixing = config.DataLoader.Train.dataset.batch_transform_ops[0]
    assert mixing.kwargs["MixupOperator"] == {"alpha": 0.8, "prob": 0.5}


def test_one_run_recipe_of_the_reproduction_equals_ours_but_for_folders():
    theirs, ours = config_of(str(HERE / "reproduction_2_2.yaml")), config_of("train.yaml")
    assert (theirs.Loss, theirs.Optimizer, theirs.Metric) == (ours.Loss, ours.Optimizer, ours.Metric)
    assert load_document(HERE / "reproduction_2_2.yaml")["Global"]["output_dir"].startswith("/root/")


CHAIN_2_2 = (
    "Global.seed=1234 DataLoader.Train.sampler.shuffle=False DataLoader.Train.loader.num_workers=0 "
    "DataLoader.Train.loader.use_shared_memory=False Global.device=gpu "
    "Global.output_dir=./test_tipc/output/norm_train_gpus_0,1_autocast_null Global.epochs=2 "
    "DataLoader.Train.sampler.batch_size=8"
)
CHAIN_2_6 = f"{CHAIN_2_2} Global.eval_during_train=False Global.save_interval=2 Global.print_mem_info=True "


@pytest.mark.parametrize(
    ("mode", "overrides"),
    [
        ("train", CHAIN_2_2),
        ("train", f"{CHAIN_2_6} AMP.use_amp=False"),
        ("train", f"{CHAIN_2_6} AMP.use_amp=True AMP.scale_loss=128 AMP.use_dynamic_loss_scaling=True AMP.level=O1"),
        ("train", f"{CHAIN_2_6} AMP.use_amp=True AMP.scale_loss=128 AMP.use_dynamic_loss_scaling=True AMP.level=O2"),
        ("train", f"{CHAIN_2_6} Global.log_ranks=0,1,2,3,4,5,6,7 Global.to_static=True"),
        ("eval", "Global.pretrained_model=out/OctMobileNetV2_x1_125/latest Global.device=gpu"),
        ("export", "Global.pretrained_model=out/OctMobileNetV2_x1_125/latest Global.save_inference_dir=out"),
    ],
)
def test_command_line_of_the_tipc_chain_is_understood(mode: str, overrides: str):
    for recipe in (TIPC, HERE / "paddleclas_2_6.yaml"):
        config = load_run(recipe, overrides.split(), mode).stages[0].config
        if mode == "train":
            assert (config.Global.epochs, config.DataLoader.Train.sampler.batch_size) == (2, 8)
            assert config.Global.seed == 1234

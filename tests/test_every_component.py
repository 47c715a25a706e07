"""Every registered name is built and does what its table promises; who registers a thing is tested unasked."""

import inspect
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle
import pytest
from paddle import nn
from zoo import CLASSES, numbers, shapes, smallest_of_each_file

import ppcls.data.postprocess
import ppcls.data.preprocess.batch_ops
import ppcls.engine
import ppcls.loss
import ppcls.metric
import ppcls.optimizer  # noqa: F401  registers, as do those above
from ppcls import registry
from ppcls.config import Component
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.engine.hooks.hook import Hook
from ppcls.optimizer.optimizers import Common
from ppcls.registry import Registry
from ppcls.utils.save_load import load_into, model_arrays, read_weights
from ppcls.utils.weights import dump_pdparams

TABLES = {name: table for name, table in vars(registry).items() if isinstance(table, Registry)}

# What a signature without default is given, and what a component needs although its signature does not say so.
MINIMAL: dict[str, Any] = {
    "class_num": CLASSES,
    "epochs": 4,
    "step_each_epoch": 5,
    "batch_size": 4,
    "length": 10,
    "size": 32,
    "momentum": 0.9,
    "learning_rate": 0.1,
    "step_size": 1,
    "gamma": 0.5,
    "milestones": [1, 2],
    "decay_epochs": [1, 2],
    "values": [0.1, 0.01, 0.001],
}
SPECIAL = {"ResizeImage": {"size": 32}, "OpSampler": {"MixupOperator": {"prob": 0.5}}}


def names(table: str) -> list[str]:
    """Those of the project: tests register some of their own."""
    known = TABLES[table]
    return [name for name in known.names() if known.get(name).__module__.startswith("ppcls.")]


def build(table: str, name: str, **more: Any) -> Any:
    """The component with its defaults, and with as little as it needs besides."""
    given = {**MINIMAL, **more}
    empty = inspect.Parameter.empty
    needed = {key for key, value in TABLES[table].parameters(name).items() if value.default is empty}
    missing = needed - given.keys()
    assert not missing, f"{name} needs {sorted(missing)}: add a value to MINIMAL"
    kwargs = {key: given[key] for key in needed} | SPECIAL.get(name, {})
    return TABLES[table].build(Component(name, kwargs, f"{table}.{name}"), class_num=CLASSES)


def test_no_table_is_forgotten_here() -> None:
    empty = {table for table in TABLES if not names(table)}
    assert empty <= {"HOOKS"}
    assert len(TABLES) == 11


@pytest.mark.parametrize("name", names("BACKBONES"))
def test_a_backbone_honours_class_num_and_keeps_its_numbers_with_octaves(name: str) -> None:
    assert shapes(name, 0.5)[-1] == [CLASSES]
    assert numbers(name, 0.5) == numbers(name, 0)


@pytest.fixture(scope="module", params=smallest_of_each_file())
def backbone(request: pytest.FixtureRequest) -> nn.Layer:
    paddle.seed(0)
    return build("BACKBONES", request.param)


def images() -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(0).standard_normal([4, 3, 32, 32]).astype("float32"))


def test_every_parameter_of_a_backbone_gets_a_gradient(backbone: nn.Layer) -> None:
    backbone.train()
    logits = backbone(images())
    assert (logits.shape, logits.dtype) == ([4, CLASSES], paddle.float32)
    nn.functional.cross_entropy(logits, paddle.arange(4)).backward()
    for name, parameter in backbone.named_parameters():
        if not parameter.stop_gradient:
            assert parameter.grad is not None, name
            gradient = parameter.grad.numpy()
            assert np.isfinite(gradient).all(), name
            assert gradient.any(), name
    backbone.clear_gradients()


def test_a_backbone_answers_the_same_again_and_after_a_round_trip_of_its_weights(
    backbone: nn.Layer, tmp_path: Path
) -> None:
    backbone.eval()
    first = backbone(images()).numpy()
    assert np.array_equal(backbone(images()).numpy(), first)
    (tmp_path / "w.pdparams").write_bytes(dump_pdparams(model_arrays(backbone), {}))
    for value in backbone.state_dict().values():
        value.set_value(paddle.zeros_like(value))
    assert not np.array_equal(backbone(images()).numpy(), first)
    load_into(backbone, read_weights(str(tmp_path / "w.pdparams")), strict=True, allow_head_mismatch=False)
    assert np.array_equal(backbone(images()).numpy(), first)


@pytest.mark.parametrize("name", names("OPS"))
def test_an_op_depends_on_picture_and_generator_alone(name: str) -> None:
    op = build("OPS", name)
    pixels = SyntheticDataset(class_num=CLASSES, side=48).pixels(1)
    image: Any = pixels
    if getattr(op, "takes_bytes", False):
        image = cv2.imencode(".png", pixels)[1].tobytes()
    elif getattr(op, "layout", "HWC") == "CHW":
        image = pixels.transpose(2, 0, 1)
    before = image if isinstance(image, bytes) else image.copy()
    for seed in range(4):
        once, again = (op(image, np.random.default_rng(seed)) for _ in range(2))
        assert once.ndim == 3
        assert 3 in once.shape
        assert np.array_equal(once, again)
        assert np.array_equal(image, before)


@pytest.mark.parametrize("name", names("BATCH_OPS"))
def test_a_batch_op_keeps_the_shape_and_gives_soft_labels(name: str) -> None:
    op = build("BATCH_OPS", name)
    mixed, labels = op(images(), paddle.to_tensor([0, 1, 2, 9]), np.random.default_rng(0))
    assert (mixed.shape, labels.shape) == ([4, 3, 32, 32], [4, CLASSES])
    np.testing.assert_allclose(labels.numpy().sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", names("LOSSES"))
def test_a_loss_is_a_number_with_a_gradient(name: str) -> None:
    logits = paddle.randn([4, CLASSES])
    logits.stop_gradient = False
    loss = build("LOSSES", name)(logits, paddle.to_tensor([0, 1, 2, 9]))
    loss.backward()
    assert (loss.shape, bool(paddle.isfinite(loss))) == ([], True)
    assert np.isfinite(logits.grad.numpy()).all()
    assert logits.grad.numpy().any()


@pytest.mark.parametrize("name", names("METRICS"))
def test_a_metric_gives_the_numbers_it_names(name: str) -> None:
    metric = build("METRICS", name)
    labels = paddle.to_tensor([0, 1, 2, 9])
    metric.update(nn.functional.one_hot(labels, CLASSES), labels)
    perfect = metric.compute()
    assert list(perfect) == metric.names()
    assert set(perfect.values()) == {1.0}
    metric.reset()
    metric.update(paddle.randn([4, CLASSES]), labels)
    assert all(0 <= value <= 1 for value in metric.local().values())


@pytest.mark.parametrize("name", names("OPTIMIZERS"))
def test_an_optimizer_lowers_a_square(name: str) -> None:
    layer = nn.Linear(2, 1)
    common = Common(0.01, [{"params": layer.parameters(), "weight_decay": None}], None)
    rule = build("OPTIMIZERS", name, common=common)
    x = paddle.to_tensor([[1.0, 2.0]])

    def square() -> paddle.Tensor:
        return ((layer(x) - 10) ** 2).sum()

    before = float(square())
    for _ in range(3):
        square().backward()
        rule.step()
        rule.clear_grad()
    assert float(square()) < before


@pytest.mark.parametrize("name", names("SCHEDULES"))
def test_a_schedule_is_a_function_of_the_step(name: str) -> None:
    schedule = build("SCHEDULES", name)
    forwards = [schedule(step) for step in range(20)]
    assert [schedule(step) for step in reversed(range(20))] == forwards[::-1]
    assert all(0 <= rate <= 0.1 for rate in forwards)
    assert forwards[0] == pytest.approx(0.1)


@pytest.mark.parametrize("name", names("SAMPLERS"))
def test_a_sampler_deals_everything_once_from_any_batch_on(name: str) -> None:
    sampler = build("SAMPLERS", name)
    batches = list(sampler.batches(0))
    assert len(batches) == len(sampler)
    assert sorted(np.concatenate([batch.indices for batch in batches])) == list(range(10))
    tail = list(sampler.batches(0, 2))
    assert [batch.indices.tolist() for batch in tail] == [batch.indices.tolist() for batch in batches[2:]]


@pytest.mark.parametrize("name", names("DATASETS"))
def test_a_data_set_gives_pictures_with_labels_and_a_place(name: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), SyntheticDataset(class_num=CLASSES, side=16).pixels(0))
    (tmp_path / "list.txt").write_text("a.png 7\n")
    dataset = build("DATASETS", name, image_root=str(tmp_path), cls_label_path=str(tmp_path / "list.txt"))
    item = dataset[0]
    assert cv2.imdecode(np.frombuffer(item.data, np.uint8), cv2.IMREAD_COLOR) is not None
    assert 0 <= item.label < CLASSES
    assert item.where == dataset.where(0)
    assert dataset.rule.action("Train") == "skip"
    assert len(dataset) >= 1


@pytest.mark.parametrize("name", names("POSTPROCESSES"))
def test_a_postprocess_answers_every_picture(name: str) -> None:
    scores = np.full([2, CLASSES], 1 / CLASSES, np.float32)
    answers = build("POSTPROCESSES", name)(scores, ["a.png", "b.png"])
    assert [answer["file_name"] for answer in answers] == ["a.png", "b.png"]


def test_every_hook_that_yaml_may_name_is_a_hook() -> None:
    for name in names("HOOKS"):
        assert issubclass(TABLES["HOOKS"].get(name), Hook), name

"""Batch norm over ranks, as far as one rank shows it; ``test_ranks`` has the rest."""

import copy
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn

from ppcls.arch.backbone.model_zoo.oct_mobilenet_v2 import OctMobileNetV2
from ppcls.arch.layers.sync_bn import SyncBatchNorm2D, synchronise
from ppcls.utils import compat


def pictures(dtype: str = "float32") -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(1).standard_normal([6, 3, 32, 32]).astype(dtype))


@pytest.fixture
def plain() -> nn.Layer:
    """A network whose norms have seen two batches."""
    paddle.seed(3)
    network = OctMobileNetV2(scale=0.25, class_num=5)
    with paddle.no_grad():
        network(pictures())
        network(pictures() * 2.0)
    return network


def test_a_synchronised_network_has_the_same_tensors_under_the_same_names(plain: nn.Layer) -> None:
    before = {name: (tensor.name, id(tensor)) for name, tensor in plain.state_dict().items()}
    trainable = [name for name, _ in plain.named_parameters()]
    norms = sum(isinstance(layer, nn.BatchNorm2D) for layer in plain.sublayers())
    network = synchronise(plain)
    assert {name: (tensor.name, id(tensor)) for name, tensor in network.state_dict().items()} == before
    assert list(network.state_dict()) == list(before)
    assert [name for name, _ in network.named_parameters()] == trainable
    assert sum(isinstance(layer, SyncBatchNorm2D) for layer in network.sublayers()) == norms > 50
    assert not any(isinstance(layer, nn.BatchNorm2D) for layer in network.sublayers())


def test_it_evaluates_bit_for_bit_as_the_plain_one(plain: nn.Layer) -> None:
    network = synchronise(copy.deepcopy(plain))
    plain.eval()
    network.eval()
    assert np.array_equal(network(pictures()).numpy(), plain(pictures()).numpy())


def test_a_copy_has_statistics_of_its_own(plain: nn.Layer) -> None:
    network = synchronise(plain)
    average = copy.deepcopy(network)
    before = average.conv1[1]._mean.numpy().copy()
    network(pictures())
    assert np.array_equal(average.conv1[1]._mean.numpy(), before)
    assert not np.array_equal(network.conv1[1]._mean.numpy(), before)


def test_it_exports_as_the_plain_one(tmp_path: Path) -> None:
    network = synchronise(nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4)))
    network(pictures())
    network.eval()
    expected = network(pictures()).numpy()
    spec = paddle.static.InputSpec([None, 3, 32, 32], "float32")
    paddle.jit.save(network, str(tmp_path / "inference"), input_spec=[spec])
    program = compat.program_file(tmp_path, "inference")
    assert b"sync_batch_norm" not in program.read_bytes()
    got = compat.inference_runner(program, tmp_path / "inference.pdiparams")(pictures().numpy())
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("affine", [True, False])
def test_one_rank_trains_as_with_plain_batch_norm(affine: bool) -> None:
    attributes = {} if affine else {"weight_attr": False, "bias_attr": False}
    outcomes = []
    for change in (lambda network: network, synchronise):
        network = change(nn.Sequential(nn.BatchNorm2D(3, momentum=0.7, epsilon=1e-3, **attributes)))
        network.to(dtype="float64")
        x = pictures("float64") * 0.01 + 4.0  # a variance that feels epsilon
        x.stop_gradient = False
        y = network(x)
        (y * y * y).sum().backward()
        gradients = [parameter.grad for parameter in network.parameters() if not parameter.stop_gradient]
        outcomes.append([y, *network.state_dict().values(), x.grad, *gradients])
    assert len(outcomes[0]) == (8 if affine else 4)
    for expected, got in zip(*outcomes, strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-9, atol=1e-11)


def test_norms_that_always_use_running_statistics_stay() -> None:
    network = synchronise(nn.Sequential(nn.BatchNorm2D(3, use_global_stats=True)))
    assert type(network[0]) is nn.BatchNorm2D

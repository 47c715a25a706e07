"""Seconds from a picture in memory to its answer, by each engine and network, on this machine's CPU:

    python benchmarks/inference.py [--rounds 15] [--json FILE]

Each way has a process of its own, and all take turns, so that what else the machine does falls on all alike. *default*
is the network in Paddle's eager mode as it is usually written, with ``interpolate``, and without the environment
variables that ppcls sets; *eager* is this project's with them, and the engines have them too.
Engines get what Paddle2ONNX writes, what ``export --onnx --optimize`` makes of it, and that with padded channels, for
plain networks too; the fastest of the three counts.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import machine, show, write_json
from turns import Turn, default_environment, serve, take_turns
from usual import usual_layers

from ppcls.utils import runtime

SIDE = 224
BATCHES = (1, 8)
FAMILIES = (("Oct 1.125", "textbook 1.125", "textbook 1.0"), ("Oct-ResNet-50", "ResNet-50"))
FORMS = ("as it comes", "optimized", "padded")
EAGER = ("default", "eager")
ENGINES = ("paddle", "onnxruntime", "openvino")


def build(name: str) -> Any:
    """A network in evaluation mode; the textbook's MobileNetV2 has no 1x1 in its first block."""
    import paddle
    from paddle import nn

    from ppcls.arch.backbone.model_zoo import mobilenet_v2, oct_mobilenet_v2, resnet
    from ppcls.arch.layers.conv_bn import ConvBN

    paddle.seed(0)
    if name.startswith("textbook"):
        network = mobilenet_v2.MobileNetV2(scale=float(name.split()[1]))
        stem, out = (int(channels * float(name.split()[1])) for channels in (32, 16))
        network.conv2._first_block = nn.Sequential(
            ConvBN(stem, stem, 3, groups=stem), nn.ReLU6(), ConvBN(stem, out, kernel_size=1)
        )
    elif name == "Oct 1.125":
        network = oct_mobilenet_v2.OctMobileNetV2_x1_125()
    else:
        network = resnet.ResNet50(alpha=0.5 if name.startswith("Oct") else 0.0)
    network.eval()
    return network


def export_all(folder: Path) -> None:
    """Write each network's program, and its ONNX program as it comes and rewritten."""
    from ppcls.engine.export import ExportPlan, export

    for name in chain(*FAMILIES):
        network = build(name)
        for form in FORMS:
            rewriting = (form != "as it comes", channel_block() if form == "padded" else 1)
            export(network, ExportPlan(folder / name / form, (3, SIDE, SIDE), False, True, {}, *rewriting))


def channel_block() -> int:
    """Channels that ONNX Runtime computes at once on this processor."""
    return 16 if "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8") else 8


def serve_way(name: str, engine: str, folder: Path, batch: int) -> None:
    """Answer pictures in this process, one way."""
    if engine != "default":
        runtime.prepare()
    images = np.random.default_rng(0).standard_normal((batch, 3, SIDE, SIDE), dtype=np.float32)
    if engine in EAGER:
        import paddle

        paddle.set_device("cpu")
        network = build(name)
        with paddle.no_grad(), usual_layers() if engine == "default" else nullcontext():
            serve(lambda: network(paddle.to_tensor(images)).numpy())
        return
    from ppcls.utils.runners import RUNNERS

    run = RUNNERS[engine](folder / "inference").run
    serve(lambda: run(images))


class Way(NamedTuple):
    """A network, who runs it, and which ONNX program."""

    network: str
    engine: str
    form: str = ""


def ways_of(family: Sequence[str]) -> list[Way]:
    """All ways of the networks that are compared with each other; the eager ones of the first alone."""
    ways = [Way(family[0], engine) for engine in EAGER]
    for network in family:
        ways.append(Way(network, "paddle"))
        ways += [Way(network, engine, form) for engine in ("onnxruntime", "openvino") for form in FORMS]
    return ways


def measure(family: Sequence[str], batch: int, folder: Path, rounds: int) -> dict[Way, list[float]]:
    """Seconds of every call."""
    turns = {}
    for way in ways_of(family):
        words = [way.network, way.engine, str(folder / way.network / (way.form or FORMS[0])), str(batch)]
        turns[way] = Turn([sys.executable, __file__, "--serve", *words], default_environment())
    found = take_turns(turns, rounds, calls=2)
    for turn in turns.values():
        turn.close()
    return found


def best(found: Mapping[Way, list[float]], network: str, engines: Sequence[str] = ENGINES) -> float:
    """Seconds of the fastest way of a network: chosen by every other call, and told by the rest.

    The least of several medians of the same calls would be better than any of these ways is.
    """
    ways = [way for way in found if way.network == network and way.engine in engines]
    fastest = min(ways, key=lambda way: statistics.median(found[way][::2]))
    return statistics.median(found[fastest][1::2])


def show_ratios(batch: int, found: Mapping[Way, list[float]]) -> None:
    """Print the medians, and the ratios that are asked about."""
    medians = {way: statistics.median(seconds) for way, seconds in found.items()}
    for way, seconds in medians.items():
        print(f"{batch:>5}  {way.network:<15} {way.engine:<12} {way.form:<12} {seconds * 1000:>8.1f} ms")
    first, *others = dict.fromkeys(way.network for way in found)
    default = next(seconds for way, seconds in medians.items() if way.engine == "default")
    print(f"batch {batch}: {first}, default to the best engine {default / best(found, first):.2f}")
    for other in others:
        ratios = {name: best(found, first, [name]) / best(found, other, [name]) for name in ENGINES}
        ratios["best of each"] = best(found, first) / best(found, other)
        print(f"batch {batch}: {first} to {other}: {', '.join(f'{name} {x:.3f}' for name, x in ratios.items())}")


def main() -> None:
    """Export, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each way (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        name, engine, folder, batch = args.serve
        serve_way(name, engine, Path(folder), int(batch))
        return
    runtime.prepare()
    report: dict[str, Any] = {"machine": machine(), "ways": []}
    print(show(report["machine"]))
    with tempfile.TemporaryDirectory() as folder:
        export_all(Path(folder))
        for family in FAMILIES:
            for batch in BATCHES:
                found = measure(family, batch, Path(folder), args.rounds)
                show_ratios(batch, found)
                report["ways"] += [
                    {**way._asdict(), "batch": batch, "seconds": seconds} for way, seconds in found.items()
                ]
    if args.json:
        write_json(args.json, report)


if __name__ == "__main__":
    main()

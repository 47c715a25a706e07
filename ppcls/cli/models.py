"""``ppcls models``: what there is, how large it is, how good it was."""

import argparse
import fnmatch
import inspect
import json
from dataclasses import asdict, dataclass

from ppcls.utils import runtime
from ppcls.utils.errors import ConfigError
from ppcls.utils.suggest import did_you_mean


@dataclass(frozen=True)
class Row:
    """One network at one picture size; ``activations`` are the numbers that convolutions and linear layers put out.

    ``top1`` and ``top5`` are published, in per cent, for this alpha and 1000 classes.
    """

    name: str
    alpha: float | None
    params: int
    macs: int
    activations: int
    top1: float | None
    top5: float | None
    source: str | None


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``ppcls models``."""
    summary = "print the networks a config may name, with their size and published accuracy"
    parser = commands.add_parser("models", help=summary, description=summary)
    add_arguments(parser)
    parser.set_defaults(run=models)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``ppcls models`` takes."""
    parser.add_argument("pattern", nargs="?", default="*", help="part of a name, or a pattern such as 'Oct*_x1_*'")
    parser.add_argument("--alpha", type=float, metavar="A", help="networks with octaves, at this alpha")
    parser.add_argument("--size", type=int, default=224, metavar="N", help="image side in pixels (%(default)s)")
    parser.add_argument("--class-num", type=int, default=1000, metavar="N", help="classes (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON list instead of a table")


def models(args: argparse.Namespace) -> int:
    """``ppcls models``: a table on standard output; 0.

    Raises:
        ConfigError: no network has such a name, or an argument is out of range.
    """
    for name in ("size", "class_num"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} is at least 1; got {getattr(args, name)}", "usage")
    names = _names(args.pattern, octave_only=args.alpha is not None)
    if args.json:
        print(json.dumps([asdict(_row(name, args)) for name in names], indent=1))
        return 0
    width = max(len(name) for name in names)
    sizes = f"{f'MACs at {args.size}':>15} {'activations':>12}"
    print(f"{'model':<{width}} {'alpha':>6} {'params':>12} {sizes}  published top-1 / top-5")
    for name in names:
        print(_line(_row(name, args), width), flush=True)
    return 0


def _names(pattern: str, *, octave_only: bool) -> list[str]:
    # The first import of paddle in this command: wrong options have been found by now.
    runtime.prepare()
    from ppcls.arch import backbone  # noqa: F401  registers the networks
    from ppcls.registry import BACKBONES

    known = BACKBONES.names()
    glob = pattern.lower() if any(letter in pattern for letter in "*?[") else f"*{pattern.lower()}*"
    named = [name for name in known if fnmatch.fnmatchcase(name.lower(), glob)]
    if not named:
        raise ConfigError(
            f"no model matches {pattern!r}{did_you_mean(pattern, known)}; ppcls models prints all", "usage"
        )
    chosen = [name for name in named if not octave_only or "alpha" in BACKBONES.parameters(name)]
    if not chosen:
        raise ConfigError(f"--alpha is for networks with octaves; {', '.join(named)} has none", "usage")
    return chosen


def _row(name: str, args: argparse.Namespace) -> Row:
    from ppcls.arch.published import published_of
    from ppcls.arch.summary import build_lazily, summarize
    from ppcls.registry import BACKBONES

    target, parameters = BACKBONES.get(name), BACKBONES.parameters(name)
    published = published_of(target, args.alpha)
    alpha = _default(parameters, "alpha")
    arguments = {}
    if args.alpha is not None:
        arguments["alpha"] = args.alpha
    try:
        model = build_lazily(lambda: target(class_num=args.class_num, **arguments))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}", "usage") from error
    summary = summarize(model, [3, args.size, args.size])
    return Row(
        name=name,
        alpha=arguments.get("alpha", alpha),
        params=summary.params,
        macs=summary.macs,
        activations=summary.activations,
        top1=published.top1 if published else None,
        top5=published.top5 if published else None,
        source=published.source if published else None,
    )


def _default(parameters: dict[str, inspect.Parameter], name: str) -> float | None:
    return parameters[name].default if name in parameters else None


def _line(row: Row, width: int) -> str:
    alpha = "-" if row.alpha is None else f"{row.alpha:g}"
    accuracy = "-" if row.top1 is None else f"{row.top1} / {row.top5}  ({row.source})"
    return f"{row.name:<{width}} {alpha:>6} {row.params:>12,} {row.macs:>15,} {row.activations:>12,}  {accuracy}"

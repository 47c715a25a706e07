"""The commands: arguments in, exit code out."""

import argparse
import sys
from collections.abc import Sequence

from ppcls import __version__
from ppcls.cli import curves, data, demo, lr, models, run, show
from ppcls.utils.errors import ConfigError, PpclsError


def console() -> None:
    """The ``ppcls`` command."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command.

    Returns:
        0 done, 1 failed, 2 usage or config, 3 data, 4 weights, 5 not finite, 6 worker, 7 hang, 128 + n stopped by a
        signal. A problem the user can mend ends with one line on standard error, never a traceback.
    """
    try:
        args = _parse(argv)
        return args.run(args)
    except PpclsError as error:
        return _report(error.slug, str(error), error.code)
    except BrokenPipeError:
        sys.stderr.close()  # as a reader such as head leaves; Python would complain of the unflushed rest
        return 1
    except OSError as error:
        return _report("io-error", f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), 1)
    except KeyboardInterrupt:
        return _report("stopped", "interrupted; nothing was saved since the last checkpoint", 130)


def _report(slug: str, message: str, code: int) -> int:
    print(f"error[{slug}]: {message}", file=sys.stderr, flush=True)
    return code


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    args, left = build_parser().parse_known_args(argv)
    if left:
        hint = "; give every key its own -o: -o a=1 -o b=2" if any("=" in word for word in left) else ""
        raise ConfigError(f"unknown arguments {' '.join(left)}{hint}", "usage")
    return args


def build_parser() -> argparse.ArgumentParser:
    """The table of subcommands."""
    parser = argparse.ArgumentParser(prog="ppcls", description="Train, judge, use and export image classifiers.")
    parser.add_argument("--version", action="version", version=f"ppcls {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (demo, run, show, models, lr, data, curves):
        module.add_commands(commands)
    return parser

"""The commands: arguments in, exit code out."""

import argparse
import errno
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from ppcls import __version__
from ppcls.cli import bench_data, convert, curves, data, demo, lr, models, octaves, octavize, run, show
from ppcls.utils.errors import ConfigError, PpclsError
from ppcls.utils.logger import discard_stdout
from ppcls.utils.suggest import did_you_mean


def console() -> None:
    """The ``ppcls`` command."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command.

    Returns:
        0 done, 1 failed, 2 usage or config, 3 data, 4 weights, 5 not finite, 6 worker, 128 + n stopped by a signal.
        A problem the user can mend ends with one line on standard error, never a traceback.
    """
    try:
        args = _parse(argv)
        code = args.run(args)
        sys.stdout.flush()
        return code
    except PpclsError as error:
        return _report(error.slug, str(error), error.code)
    except BrokenPipeError:
        discard_stdout()  # a reader such as head has left, which is nobody's mistake
        return 1
    except OSError as error:
        if error.filename is None:
            discard_stdout()
        slug = "disk-full" if error.errno == errno.ENOSPC else "io-error"
        place = error.filename or "standard output, or a file without a name; look at where it leads"
        return _report(slug, f"{error.strerror or error}: {place}", 1)
    except KeyboardInterrupt:
        lost = "; nothing was saved since the last checkpoint" if argv[:1] == ["train"] else ""
        return _report("stopped", f"interrupted{lost}", 130)


def _report(slug: str, message: str, code: int) -> int:
    """Print the error; a table before its heading, as scripts read the last line; a config's block stays together."""
    head, *details = message.splitlines()
    lines = [f"error[{slug}]: {head}"]
    lines = lines + details if code == ConfigError.code else details + lines
    print("\n".join(lines), file=sys.stderr, flush=True)
    return code


class _Parser(argparse.ArgumentParser):
    """Reports a wrong word as every other error, with the nearest right one."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the process."""
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        hint = did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2])) if choice else ""
        raise ConfigError(f"{message}{hint}; see {self.prog} --help", "usage")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    args, left = build_parser().parse_known_args(argv)
    if left:
        hint = "; give every key its own -o: -o a=1 -o b=2" if any("=" in word for word in left) else ""
        raise ConfigError(f"unknown arguments {' '.join(left)}{hint}", "usage")
    return args


def build_parser() -> argparse.ArgumentParser:
    """The table of subcommands."""
    parser = _Parser(prog="ppcls", description="Train, judge, use and export image classifiers.")
    parser.add_argument("--version", action="version", version=f"ppcls {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (demo, run, show, models, lr, data, bench_data, convert, octavize, curves, octaves):
        module.add_commands(commands)
    return parser

"""The structure of the code, checked by parsing it: arguments about structure end here."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*ROOT.glob("ppcls/**/*.py"), *ROOT.glob("tools/*.py")])
ALL_FILES = sorted([*FILES, *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py")])
RANKS = {"utils": 0, "registry": 1, "config": 2, "arch": 3, "data": 3, "loss": 3, "metric": 3, "optimizer": 3}
RANKS |= {"engine": 4, "cli": 5, "__main__": 6}
DRAWING = {
    "rand",
    "randn",
    "randint",
    "random",
    "shuffle",
    "permutation",
    "choice",
    "uniform",
    "normal",
    "beta",
    "seed",
}
FORBIDDEN_CALLS = {"eval", "exec", "paddle.load", "os.system", "paddle.hub.load", "random.random"}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def _package(path: Path) -> str:
    return path.relative_to(ROOT / "ppcls").parts[0].removesuffix(".py")


def _imported(tree: ast.Module) -> list[str]:
    modules = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return modules


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=_names(FILES))
def test_imports_point_down_and_strangers_stay_strangers(path: Path) -> None:
    if path.parent.name == "tools" or path == ROOT / "ppcls" / "__init__.py":
        return
    own = _package(path)
    for module in _imported(_tree(path)):
        parts = module.split(".")
        if parts[0] == "ppcls" and len(parts) > 1 and parts[1] != own:
            assert RANKS[parts[1]] < RANKS[own], f"{path}: {own} may not import {module}"


def test_the_command_line_and_config_import_no_paddle() -> None:
    code = "import sys, ppcls.cli, ppcls.config, ppcls.registry; sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", ALL_FILES, ids=_names(ALL_FILES))
def test_a_file_is_one_idea(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= (20 if path.parent == ROOT / "tools" else 400)
    assert ast.get_docstring(ast.parse(text)), "a file opens with a docstring"


@pytest.mark.parametrize("path", FILES, ids=_names(FILES))
def test_a_function_is_one_thought(path: Path) -> None:
    for function in _functions(_tree(path)):
        arguments = function.args
        count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
        is_method = bool(arguments.args) and arguments.args[0].arg in ("self", "cls")
        assert function.end_lineno - function.lineno < 50, f"{function.name} is longer than 50 lines"
        assert count - is_method <= 8 or _is_yaml_schema(function), f"{function.name} has more than 8 parameters"


def _is_yaml_schema(function: ast.FunctionDef) -> bool:
    """Constructors of registered components mirror the keys that YAML has."""
    return function.name == "__init__"


@pytest.mark.parametrize("path", FILES, ids=_names(FILES))
def test_signatures_are_annotated_and_public_things_documented(path: Path) -> None:
    tree = _tree(path)
    for function in _functions(tree):
        arguments = [*function.args.args, *function.args.kwonlyargs, function.args.vararg, function.args.kwarg]
        for argument in arguments:
            if argument is not None and argument.arg not in ("self", "cls"):
                assert argument.annotation is not None, f"{function.name}({argument.arg}) has no type"
        assert function.returns is not None, f"{function.name} has no return type"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("path", FILES, ids=_names(FILES))
def test_nothing_is_hidden(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        assert not isinstance(node, ast.Global | ast.Nonlocal), "state lives in objects"
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in ("everything", "Exception", "BaseException"), f"line {node.lineno} catches {caught}"
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), "star import"
        if isinstance(node, ast.Import):
            assert all(alias.name != "random" for alias in node.names), "randomness comes from utils/seed.py"
        if isinstance(node, ast.Call):
            _check_call(node)


def _check_call(node: ast.Call) -> None:
    called = ast.unparse(node.func)
    assert called not in FORBIDDEN_CALLS, f"line {node.lineno} calls {called}"
    head, _, tail = called.rpartition(".")
    assert not (head in ("np.random", "numpy.random") and tail in DRAWING), f"line {node.lineno} calls {called}"
    for keyword in node.keywords:
        is_shell = keyword.arg == "shell" and getattr(keyword.value, "value", None) is True
        assert not is_shell, f"line {node.lineno} starts a shell"


def test_pickle_is_read_in_one_place() -> None:
    users = [path for path in FILES if any(name.split(".")[0] == "pickle" for name in _imported(_tree(path)))]
    assert {path.parent.name for path in users} <= {"utils"}

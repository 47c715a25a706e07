"""An exported program and its manifest: written together, and nothing is loaded that does not match it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppcls.utils.errors import ConfigError, PpclsError, WeightsError
from ppcls.utils.files import read_regular
from ppcls.utils.manifest import SUFFIX, FileMark

FORMAT = 1
PROGRAMS = (".json", ".pdmodel")  # of Paddle 3, of Paddle 2
PARAMETERS = ".pdiparams"
_ADVICE = "export again, or copy all its files again"

Run = Callable[[np.ndarray], np.ndarray]


class Exported(NamedTuple):
    """The verified files of an export by suffix, and what else its manifest says: preprocessing, class names, ..."""

    files: dict[str, Path]
    about: dict[str, Any]

    @property
    def program(self) -> Path:
        """The file that describes the computation."""
        return next(self.files[suffix] for suffix in PROGRAMS if suffix in self.files)


def write_manifest(prefix: Path, about: Mapping[str, Any]) -> Path:
    """Write ``<prefix>.manifest.json`` over all files of that prefix."""
    files = sorted(path for path in prefix.parent.glob(f"{prefix.name}.*") if not path.name.endswith(SUFFIX))
    marks = {path.name: FileMark.of(path.read_bytes())._asdict() for path in files}
    content = {"format": FORMAT, "files": marks, **about}
    path = Path(f"{prefix}{SUFFIX}")
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def verify_export(prefix: Path, suffixes: Sequence[str] = (*PROGRAMS, PARAMETERS)) -> Exported:
    """The export at ``prefix``, such as ``inference/inference``, once its files match its manifest.

    Paddle itself answers from uninitialised memory when the parameters are missing, and with other numbers when they
    are another model's.

    Args:
        suffixes: what is going to be used; of the two kinds of program there is one.
    Raises:
        WeightsError: ``damaged``: no manifest, or a file is missing, or differs from it; names both checksums.
    """
    path = Path(f"{prefix}{SUFFIX}")
    marks, about = _parse(_read(path, "nothing says what belongs to the export"), path)
    wanted = {suffix: f"{prefix.name}{suffix}" for suffix in suffixes}
    programs = [suffix for suffix in PROGRAMS if wanted.get(suffix) in marks]
    missing = [suffix for suffix in wanted if suffix not in PROGRAMS and wanted[suffix] not in marks]
    if missing or (set(PROGRAMS) & wanted.keys() and not programs):
        advice = "export again with --onnx" if ".onnx" in missing else _ADVICE
        raise WeightsError(f"{path} lists no {' and no '.join(missing or ['program'])}; {advice}", "damaged")
    files = {}
    for suffix in [suffix for suffix in wanted if suffix not in PROGRAMS or suffix in programs]:
        files[suffix] = prefix.with_name(wanted[suffix])
        _verify(files[suffix], marks[wanted[suffix]])
    return Exported(files, about)


def load_program(prefix: Path) -> Run:
    """``images -> outputs`` by a verified export, through Paddle Inference on the CPU.

    Raises:
        WeightsError: ``damaged``: it does not match its manifest, or Paddle cannot read it; a disk that was full when
            Paddle wrote it leaves the latter, as Paddle writes what fits and says nothing.
    """
    from ppcls.utils import compat

    exported = verify_export(prefix)
    try:
        return compat.inference_runner(exported.program, exported.files[PARAMETERS])
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"paddle cannot read {exported.program}: {reason}; was the disk full? {_ADVICE}", "damaged"
        ) from error


def onnx_runner(prefix: Path) -> Run:
    """``images -> outputs`` by a verified ``<prefix>.onnx``, through ONNX Runtime on the CPU."""
    path = verify_export(prefix, [".onnx"]).files[".onnx"]
    try:
        import onnxruntime
    except ImportError as error:
        raise PpclsError(f"running {path.name} needs ONNX Runtime; pip install onnxruntime", "output") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; not a line for every unused constant
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def openvino_runner(prefix: Path) -> Run:
    """``images -> outputs`` by a verified ``<prefix>.onnx``, through OpenVINO on the CPU, in float32."""
    path = verify_export(prefix, [".onnx"]).files[".onnx"]
    try:
        import openvino
    except ImportError as error:
        raise PpclsError(f"running {path.name} here needs OpenVINO; pip install openvino", "output") from error
    precision = {"INFERENCE_PRECISION_HINT": "f32"}  # some processors would take bfloat16
    compiled = openvino.Core().compile_model(str(path), "CPU", precision)
    return lambda images: compiled(images)[0]


RUNNERS: dict[str, Callable[[Path], Run]] = {
    "paddle": load_program,
    "onnxruntime": onnx_runner,
    "openvino": openvino_runner,
}


def read_about(prefix: Path) -> dict[str, Any]:
    """What the manifest says besides checksums."""
    path = Path(f"{prefix}{SUFFIX}")
    return _parse(_read(path, "nothing says what belongs to the export"), path)[1]


def _read(path: Path, consequence: str) -> bytes:
    try:
        return read_regular(path)
    except ConfigError as error:
        raise WeightsError(f"{path} is missing: {consequence}; {_ADVICE}", "damaged") from error


def _verify(path: Path, expected: FileMark) -> None:
    found = FileMark.of(_read(path, f"its manifest lists {expected.bytes} bytes, sha256 {expected.sha256}"))
    if found != expected:
        raise WeightsError(
            f"{path} has {found.bytes} bytes, sha256 {found.sha256}; "
            f"its manifest says {expected.bytes} bytes, sha256 {expected.sha256}; {_ADVICE}",
            "damaged",
        )


def _parse(data: bytes, path: Path) -> tuple[dict[str, FileMark], dict[str, Any]]:
    try:
        content = json.loads(data)
        version = content.pop("format")
        marks = {name: FileMark(int(mark["bytes"]), str(mark["sha256"])) for name, mark in content.pop("files").items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: {type(error).__name__}: {error}; {_ADVICE}", "damaged") from error
    if version != FORMAT:
        raise WeightsError(
            f"{path} has format {version!r}, known is {FORMAT}: written by a newer version; update ppcls", "damaged"
        )
    return marks, content

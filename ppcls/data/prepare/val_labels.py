"""Which class each ImageNet validation picture shows: from the development kit, or from a list."""

import io
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ppcls.data.prepare.archives import open_member, open_tar
from ppcls.utils.errors import ConfigError, DataError

TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
MAX_BYTES = 64 * 1024**2


def picture_name(number: int) -> str:
    """The file name of validation picture ``number``, counted from 1."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def labels_from_list(path: Path, wnids: Sequence[str]) -> dict[str, int]:
    """Picture name -> label, from a text file.

    Each line is a WordNet id (line k is picture k), or a picture's name and its WordNet id or label.

    Raises:
        ConfigError: no such file.
        DataError: a line is neither, or its class is unknown; file and line are named.
    """
    if not path.is_file():
        raise ConfigError(f"no list of validation labels at {path}; check the path")
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    numbers = {str(label): label for label in range(len(wnids))}
    found: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        *name, word = line.split() or [""]
        label = labels.get(word, numbers.get(word) if name else None)
        if label is None or len(name) > 1:
            raise DataError(
                f"{path}:{number}: expected a WordNet id, or a picture's name and its WordNet id or its label "
                f"in 0..{len(wnids) - 1}; got {line!r}",
                slug="data-list",
            )
        found[PurePosixPath(name[0]).name if name else picture_name(number)] = label
    return found


def labels_from_devkit(path: Path, wnids: Sequence[str]) -> dict[str, int]:
    """Picture name -> label, from ``ILSVRC2012_devkit_t12.tar.gz``.

    The kit counts classes in an order of its own; ``meta.mat`` in it tells the WordNet id of each.

    Raises:
        ConfigError: no such file, or scipy, which reads ``meta.mat``, is not installed.
        DataError: the archive is damaged, or is not the kit.
    """
    with open_tar(path) as archive:
        files = _read_members(archive, {TRUTH, META}, path)
    wnid_of = _wnids_of_ids(files[META], path)
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    found = {}
    for number, word in enumerate(files[TRUTH].decode("ascii", "replace").split(), start=1):
        wnid = wnid_of.get(int(word)) if re.fullmatch("[0-9]{1,9}", word) else None
        if wnid not in labels:
            raise DataError(f"{path}: {TRUTH}:{number}: {word!r} is no class of the recipe; fetch it again", "archive")
        found[picture_name(number)] = labels[wnid]
    return found


def _read_members(archive: tarfile.TarFile, wanted: set[str], path: Path) -> dict[str, bytes]:
    found = {}
    for member in archive:
        name = PurePosixPath(member.name).name
        if name in wanted and member.isreg() and not member.issparse() and member.size <= MAX_BYTES:
            found[name] = open_member(archive, member).read()
    missing = sorted(wanted - found.keys())
    if missing:
        message = f"{path}: no {' and no '.join(missing)} in it; expected ILSVRC2012_devkit_t12.tar.gz"
        raise DataError(message, slug="archive")
    return found


def _wnids_of_ids(data: bytes, path: Path) -> dict[int, str]:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise ConfigError("reading the development kit needs scipy: pip install scipy, or pass --val-labels") from error
    try:
        synsets = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"]
        return dict(zip((int(i) for i in synsets["ILSVRC2012_ID"]), map(str, synsets["WNID"]), strict=True))
    except (MatReadError, ValueError, KeyError, IndexError, TypeError, OSError) as error:
        raise DataError(f"{path}: {META} cannot be read ({error}); fetch it again", slug="archive") from error

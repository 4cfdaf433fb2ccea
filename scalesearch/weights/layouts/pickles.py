"""Pickles looked through before they are opened.

``torch.load(weights_only=True)`` executes nothing, but allows ``bytearray(N)``, which fills as much
memory as a file of fifty bytes asks for. No network has one.
"""

import io
import pickletools
import zipfile
from pathlib import Path
from typing import IO

from scalesearch.errors import WeightsError

ALLOCATING_NAMES = ("builtins bytearray", "__builtin__ bytearray")
LEGACY_PICKLE_COUNT = 5
"""In a file of the old form, before the bytes of the tensors."""


def require_safe_pickle(path: Path) -> None:
    """Raise WeightsError where a pickle of the file would take memory by a number in it, or cannot
    be looked through."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():  # all of them: names may be there twice
                if member.filename.endswith(".pkl"):
                    with archive.open(member) as file:
                        _require_safe_stream(path, io.BytesIO(file.read()), 1)
    else:
        with path.open("rb") as file:
            _require_safe_stream(path, file, LEGACY_PICKLE_COUNT)


def _require_safe_stream(path: Path, file: IO[bytes], pickle_count: int) -> None:
    names: set[str] = set()
    try:
        while pickle_count and file.read(1):
            file.seek(-1, io.SEEK_CUR)
            pickle_count -= 1
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "GLOBAL":
                    names.add(str(argument))
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        raise WeightsError(
            f"{path}: not a whole file of torch.save ({error}); copy or download it again"
        ) from error
    if forbidden := names.intersection(ALLOCATING_NAMES):
        forbidden_name = sorted(forbidden)[0].replace(" ", ".")
        raise WeightsError(
            f"{path}: need tensors and plain containers, got {forbidden_name}, which takes as much memory as "
            "it is told to; save network.state_dict() where the file was made"
        )

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

ALLOCATING = ("builtins bytearray", "__builtin__ bytearray")
OLD_PICKLES = 5
"""In a file of the old form, before the bytes of the tensors."""


def require_modest(path: Path) -> None:
    """Raise WeightsError where a pickle of the file would take memory by a number in it, or cannot
    be looked through."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():  # all of them: names may be there twice
                if entry.filename.endswith(".pkl"):
                    with archive.open(entry) as file:
                        _require_modest(path, io.BytesIO(file.read()), 1)
    else:
        with path.open("rb") as file:
            _require_modest(path, file, OLD_PICKLES)


def _require_modest(path: Path, file: IO[bytes], pickles: int) -> None:
    names: set[str] = set()
    try:
        while pickles and file.read(1):
            file.seek(-1, io.SEEK_CUR)
            pickles -= 1
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "GLOBAL":
                    names.add(str(argument))
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        raise WeightsError(
            f"{path}: not a whole file of torch.save ({error}); copy or download it again"
        ) from error
    if asking := names.intersection(ALLOCATING):
        told = sorted(asking)[0].replace(" ", ".")
        raise WeightsError(
            f"{path}: need tensors and plain containers, got {told}, which takes as much memory as "
            "it is told to; save network.state_dict() where the file was made"
        )

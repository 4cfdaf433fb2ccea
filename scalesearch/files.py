"""Files that are written whole or not at all, and where those of the user are kept."""

import os
from pathlib import Path


def user_cache_folder() -> Path:
    """``$XDG_CACHE_HOME/scalesearch``, or ``~/.cache/scalesearch``, as it is now."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "scalesearch"


def write_text(path: Path, text: str) -> None:
    """Write a text file so that no reader, and no crash, ever meets half of it."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no crash, ever meets half of it."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave the new name with nothing in it
        os.replace(partial, path)
    except BaseException:  # a full disk needs the room again
        partial.unlink(missing_ok=True)
        raise

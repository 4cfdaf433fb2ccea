"""Files that are written whole or not at all."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a text file so that no reader, and no crash, ever meets half of it."""
    torn = path.with_name(f".{path.name}.partial")
    torn.write_text(text, encoding="utf-8")
    os.replace(torn, path)

"""Atomic files, JSON of dataclasses, and strict YAML.

A file is written whole or not at all. YAML is read as plain values, with each key once and numbers
as in JSON.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.errors import ExperimentError, ExportError

if TYPE_CHECKING:
    import yaml
    from _typeshed import DataclassInstance


def user_cache_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/scalesearch``, or ``~/.cache/scalesearch``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "scalesearch"


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: no reader sees a part of it, even after a crash."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # otherwise a power cut may leave an empty file
        os.replace(partial, path)
    except BaseException:  # on a full disk the partial file would take the space
        partial.unlink(missing_ok=True)
        raise


def export_text(path: Path, text: str) -> Path:
    """Write a text file to a path that a user chose, and create its folder.

    Raises ExportError if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def json_text(document: Any, *, allow_nan: bool = True) -> str:
    """Return JSON values as indented text; NaN needs ``allow_nan``."""
    return json.dumps(document, indent=2, allow_nan=allow_nan) + "\n"


def write_json(path: Path, document: Any, *, allow_nan: bool = True) -> None:
    """Write JSON values to a file atomically; NaN needs ``allow_nan``."""
    write_text(path, json_text(document, allow_nan=allow_nan))


def to_document(instance: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a dataclass as plain JSON values, defaults included."""
    plain: dict[str, Any] = _to_plain_values(dataclasses.asdict(instance))
    return plain


def _to_plain_values(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_plain_values(part) for key, part in value.items()}
    return [_to_plain_values(part) for part in value] if isinstance(value, tuple | list) else value


@cache
def _strict_loader() -> "type[yaml.SafeLoader]":
    """Return the loader; made at its first use, so that `scalesearch cost` does not load yaml."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        """Safe YAML in which a repeated key is an error."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            """Build a mapping; raise an error for a key that stands twice."""
            self.flatten_mapping(node)
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    raise yaml.constructor.ConstructorError(
                        None, None, f"need text as a key, got {key!r}", key_node.start_mark
                    )
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} appears twice", key_node.start_mark
                    )
                seen.add(key)
            return super().construct_mapping(node, deep)

    # YAML 1.1 reads 1e-9 as text, since it wants 1.0e-9. JSON reads it as a number, and so do we.
    StrictLoader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789")
    )
    return StrictLoader


def read_yaml(path: Path) -> Any:
    """Read the values of a YAML file.

    Raises ExperimentError if the file cannot be read or is not valid YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ExperimentError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read as text: {error}") from error
    import yaml

    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise ExperimentError(f"{path}: not valid YAML: {error}") from error


def parse_yaml(text: str) -> Any:
    """Return the values of a YAML text. Raises yaml.YAMLError if it is not valid."""
    # Our loader derives from SafeLoader: it constructs plain values only.
    import yaml

    return yaml.load(text, Loader=_strict_loader())

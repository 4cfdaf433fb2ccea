"""Files that are written whole or not at all, and where those of the user are kept.

YAML as people write it, read strictly: plain values, each key once, numbers as JSON has them.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.errors import ExperimentError

if TYPE_CHECKING:
    import yaml


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


@cache
def _strict_loader() -> "type[yaml.SafeLoader]":
    """The loader class; made at its first use, so that commands without YAML do not load yaml."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        """Safe YAML in which a repeated key is an error, and not silently overwritten."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
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

    # YAML 1.1 reads 1e-9 as text: it wants 1.0e-9. JSON, and everybody who writes it, does not.
    StrictLoader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789")
    )
    return StrictLoader


def read_yaml(path: Path) -> Any:
    """The values in a file. Raises ExperimentError where it cannot be read, or is not YAML."""
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
    """What a text says. Raises yaml.YAMLError where it is not YAML."""
    import yaml

    # Derived from SafeLoader, so it constructs plain values only.
    return yaml.load(text, Loader=_strict_loader())

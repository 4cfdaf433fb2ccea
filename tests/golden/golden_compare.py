"""Documents made comparable, and what two of them differ in."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from golden_names import MEASURED, PROSE, RENAMED_KEYS

RELATIVE = 1e-6
ABSOLUTE = 1e-9
"""Differences of about zero are rounding errors."""

TEXT = "<text>"
ANY = "<measured>"


def frozen(value: Any, places: Mapping[str, str] | None = None) -> Any:
    """A JSON document without what a sentence, a machine or a clock puts into it.

    ``places``: folders, and the words that stand for them.
    """
    if isinstance(value, dict):
        return {key: _entry(key, each, places) for key, each in value.items()}
    if isinstance(value, list):
        return [frozen(each, places) for each in value]
    if isinstance(value, float):
        return float(f"{value:.10g}") if math.isfinite(value) else str(value)
    if isinstance(value, str):
        for place, word in (places or {}).items():
            value = value.replace(place, word)
    return value


def _entry(key: str, value: Any, places: Mapping[str, str] | None) -> Any:
    if key in MEASURED:
        return unmeasured(value)
    if key in PROSE and _is_text(value):
        return TEXT
    return frozen(value, places)


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(each, str) for each in value)
    return isinstance(value, str)


def unmeasured(value: Any) -> Any:
    """The keys of a value alone."""
    if isinstance(value, dict):
        return {key: unmeasured(each) for key, each in value.items()}
    return ANY


def keys(value: Any, path: str = "") -> list[str]:
    """The paths of all keys in a JSON document, such as ``members[].cost.macs``, sorted."""
    return sorted(set(_keys(value, path)))


def _keys(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            here = f"{path}.{key}" if path else key
            yield here
            yield from _keys(each, here)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each, f"{path}[]")


def table(path: Path, place: Path | None = None) -> dict[str, Any]:
    """The columns of a CSV file, and its rows without what was measured; records, for example.
    ``place``: a folder whose name is not to count."""
    text = path.read_text(encoding="utf-8")
    reader = csv.DictReader(io.StringIO(text.replace(str(place), "<place>") if place else text))
    columns = list(reader.fieldnames or ())
    compared = [name for name in columns if name not in MEASURED]
    return {
        "columns": columns,
        "compared": compared,
        "rows": [[_number(row[name]) for name in compared] for row in reader],
    }


def _number(text: str) -> float | str:
    """A network's hexadecimal name is a text, also where it could be read as a number."""
    if re.fullmatch(r"-?\d{1,15}", text):
        return int(text)
    if re.fullmatch(r"-?\d+\.\d+(e[-+]?\d+)?|-?\de[-+]\d+", text):
        return float(f"{float(text):.10g}")
    return text


def report_tables(path: Path) -> list[list[list[str]]]:
    """Of each table of a report in Markdown, the rows' cells that are numbers or names of
    networks; titles and words may be written anew."""
    tables: list[list[list[str]]] = []
    before = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                tables.append([])
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
            found = [cell for cell in cells if re.fullmatch(r"[-+\d.,%\[\]\\ ]*\d[^g-z]*", cell)]
            tables[-1] += [found] if found else []
        before = line
    return tables


def shape(folder: Path) -> dict[str, Any]:
    """Every file of a folder with the columns or keys it has; None of other kinds of file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _shape(path) for path in files}


def _shape(path: Path) -> list[str] | None:
    if path.suffix not in (".csv", ".json", ".yaml"):
        return None
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        return next(csv.reader(io.StringIO(text)), [])
    return keys(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))


def renamed(value: Any) -> Any:
    """A frozen document with the names that its keys and columns have now."""
    if not RENAMED_KEYS:
        return value
    if isinstance(value, dict):
        return {RENAMED_KEYS.get(key, key): renamed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed_path(each) if isinstance(each, str) else renamed(each) for each in value]
    return value


def _renamed_path(text: str) -> str:
    return re.sub(r"[^.\[\]]+", lambda part: RENAMED_KEYS.get(part[0], part[0]), text)


def differences(golden: Any, found: Any, path: str = "") -> list[str]:
    """What two documents differ in, each in a line; numbers that are no whole ones may
    by 1e-6 of their size."""
    if isinstance(golden, dict) and isinstance(found, dict):
        told = [f"{path}.{key}: is missing" for key in golden if key not in found]
        told += [f"{path}.{key}: is new" for key in found if key not in golden]
        for key in golden:
            if key in found:
                told += differences(golden[key], found[key], f"{path}.{key}")
        return told
    if isinstance(golden, list) and isinstance(found, list):
        if len(golden) != len(found):
            missing = [each for each in golden if each not in found][:5]
            new = [each for each in found if each not in golden][:5]
            sizes = f"{len(golden)} entries became {len(found)}"
            return [f"{path}: {sizes}; missing {missing}; new {new}"]
        pairs = enumerate(zip(golden, found, strict=True))
        return [line for place, pair in pairs for line in differences(*pair, f"{path}[{place}]")]
    if _same(golden, found):
        return []
    return [f"{path}: {golden!r} became {found!r}"]


def _same(golden: Any, found: Any) -> bool:
    numbers = (int, float)
    if isinstance(golden, bool) or isinstance(found, bool):
        return golden is found
    if isinstance(golden, int) and isinstance(found, int):
        return golden == found
    if isinstance(golden, numbers) and isinstance(found, numbers):
        return math.isclose(golden, found, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(golden == found)

"""Weights from the Hugging Face hub, through ``huggingface_hub`` (an extra)."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.downloads import Told, in_bytes, sha256_of
from scalesearch.errors import WeightsError
from scalesearch.weights.preparation import Preparation

ENDPOINT: str | None = None
"""Of the hub; None leaves it to the library, which reads ``HF_ENDPOINT``."""

WEIGHTS = "model.safetensors"
CONFIGURATION = "config.json"
LARGEST_CONFIGURATION = 2**20
PLACE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<file>.+))?")


@dataclass(frozen=True, slots=True)
class HubPlace:
    """A file on the hub: ``OWNER/NAME[@REVISION][:FILE]``."""

    repository: str
    revision: str | None = None
    file: str = WEIGHTS

    @property
    def named(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repository}{at}:{self.file}"


@dataclass(frozen=True, slots=True)
class TimmConfiguration:
    """What timm's ``config.json`` says of a network: its name there, its classes, its images."""

    architecture: str
    num_classes: int
    preparation: Preparation


def hub_place(text: str) -> HubPlace:
    """Of ``hf:OWNER/NAME[@REVISION][:FILE]``. Raises WeightsError for anything else."""
    found = PLACE.fullmatch(text.removeprefix("hf:"))
    file = found["file"] or WEIGHTS if found else ""
    if found is None or file.startswith("/") or ".." in file.split("/"):
        raise WeightsError(
            f"{text}: need hf:OWNER/NAME, a revision behind @ and a file of the repository behind "
            "a colon where they are not the usual ones, got another form"
        )
    return HubPlace(found["repository"], found["revision"], file)


def from_hub(
    place: HubPlace, cache: Path | None, told: Told, sha256: str = "", *, most: int
) -> Path:
    """The file, downloaded unless the library's cache has it; without a network, what that has.

    ``told`` hears of a download and its size before it begins. The file is checked by ``sha256``,
    or by the hash that the hub itself tells. Raises WeightsError.
    """
    hub = _library(place)
    options = _options(place, cache)
    url = hub.hf_hub_url(place.repository, place.file, revision=place.revision, endpoint=ENDPOINT)
    try:
        known = hub.get_hf_file_metadata(url)
    except Exception as error:  # its own, and those of the library that it asks the network with
        path = _cached(hub, place, options)
        if path is None:
            raise WeightsError(
                f"{place.named}: need a file that the hub has and gives, got "
                f"{_told(error)}; check the name and the network"
            ) from error
        return _checked(place, path, sha256 or _named_by_hash(path))
    expected = (sha256 or known.etag or "").lower()
    if not sha256 and not re.fullmatch("[0-9a-f]{64}", expected):
        raise WeightsError(
            f"{place.named}: need a file whose SHA-256 the hub tells, got one in plain git; say "
            "sha256=..."
        )
    if (known.size or 0) > most:
        raise WeightsError(
            f"{place.named}: need at most {in_bytes(most)}, got a file of {in_bytes(known.size)}"
        )
    _announce(hub, place, known, url, options, told)
    try:
        path = Path(hub.hf_hub_download(place.repository, place.file, endpoint=ENDPOINT, **options))
    except Exception as error:
        raise WeightsError(
            f"{place.named}: the download failed, {_told(error)}; start again, what has come is "
            "kept"
        ) from error
    return _checked(place, path, expected)


def configuration(place: HubPlace, cache: Path | None, told: Told) -> TimmConfiguration | None:
    """What the repository's ``config.json`` says, where it is one of timm's; None where not.

    It is small, and text; the weights that it speaks of are what is checked by hash.
    """
    hub = _library(place)
    there = HubPlace(place.repository, place.revision, CONFIGURATION)
    options = _options(there, cache)
    url = hub.hf_hub_url(there.repository, there.file, revision=there.revision, endpoint=ENDPOINT)
    path: Path | None
    try:
        known = hub.get_hf_file_metadata(url)
        if known.size is None or known.size > LARGEST_CONFIGURATION:
            return None
        _announce(hub, there, known, url, options, told)
        path = Path(hub.hf_hub_download(there.repository, there.file, endpoint=ENDPOINT, **options))
    except Exception:  # there is none, or no network
        path = _cached(hub, there, options)
    try:
        if path is None:
            return None
        return timm_configuration(json.loads(path.read_text(encoding="utf-8")), told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # another library's: the network is to be said by hand


def timm_configuration(document: Mapping[str, Any], told: Told) -> TimmConfiguration:
    """Of the parsed file. Raises ValueError, KeyError or TypeError for another kind of file."""
    shown = document["pretrained_cfg"]
    pixels = int(shown["input_size"][-1])
    if shown.get("crop_mode", "center") != "center":
        told(
            f"{document['architecture']}: its publisher squashes images into squares; here the "
            "middle square is taken"
        )
    return TimmConfiguration(
        architecture=str(document["architecture"]),
        num_classes=int(document.get("num_classes", shown.get("num_classes", 1000))),
        preparation=Preparation(
            pixels=pixels,
            stored=(stored := math.floor(pixels / float(shown.get("crop_pct", 0.875)))),
            zoom=stored / pixels,
            mean=tuple(float(value) for value in shown["mean"]),
            std=tuple(float(value) for value in shown["std"]),
            interpolation="bilinear" if shown.get("interpolation") == "bilinear" else "bicubic",
        ),
    )


def _announce(
    hub: Any, place: HubPlace, known: Any, url: str, options: Mapping[str, Any], told: Told
) -> None:
    """Say what is about to be downloaded; nothing where the cache has it."""
    cached = hub.try_to_load_from_cache(
        place.repository, place.file, cache_dir=options["cache_dir"], revision=known.commit_hash
    )
    if not isinstance(cached, str):
        size = in_bytes(known.size) if known.size else "of a size that the hub does not tell"
        there = options["cache_dir"] or "the library's cache"
        told(f"downloading {place.file}, {size}: from {url} to {there}")


def _options(place: HubPlace, cache: Path | None) -> dict[str, Any]:
    folder = None if cache is None else str(cache / "huggingface")
    return {"cache_dir": folder, "revision": place.revision}


def _cached(hub: Any, place: HubPlace, options: dict[str, Any]) -> Path | None:
    """The file as the library's cache has it, without asking the network."""
    try:
        download: Callable[..., str] = hub.hf_hub_download
        return Path(download(place.repository, place.file, local_files_only=True, **options))
    except Exception:  # not there
        return None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _named_by_hash(path: Path) -> str:
    """The library stores a large file under its SHA-256, and links to it."""
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else ""


def _checked(place: HubPlace, path: Path, expected: str) -> Path:
    found = sha256_of(path)
    if not found.startswith(expected.lower()):
        raise WeightsError(
            f"{place.named}: need the file with SHA-256 {expected}, got {found}; remove "
            f"{path.resolve()} and start again"
        )
    return path


def _library(place: HubPlace) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise WeightsError(
            f"{place.named}: need huggingface_hub, got {error}; pip install 'scalesearch[hub]'"
        ) from error
    return huggingface_hub

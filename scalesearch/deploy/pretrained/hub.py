"""Weights from the Hugging Face hub, through ``huggingface_hub`` (an extra)."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.data.preparation import Preparation
from scalesearch.downloads import Announce, sha256_of, size_text
from scalesearch.errors import WeightsError

ENDPOINT: str | None = None
"""Address of the hub; None leaves it to the library, which reads ``HF_ENDPOINT``."""

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
MAX_CONFIG_BYTES = 2**20
HUB_ADDRESS = re.compile(
    r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<file>.+))?"
)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file on the hub: ``OWNER/NAME[@REVISION][:FILE]``."""

    repository: str
    revision: str | None = None
    file: str = WEIGHTS_FILE

    @property
    def address(self) -> str:
        """The file's address as ``from_pretrained`` takes it."""
        revision_text = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repository}{revision_text}:{self.file}"


@dataclass(frozen=True, slots=True)
class TimmConfig:
    """Content of timm's ``config.json``: name of the network, classes, images."""

    architecture: str
    num_classes: int
    preparation: Preparation


def parse_hub_address(text: str) -> HubFile:
    """Parse ``hf:OWNER/NAME[@REVISION][:FILE]``. Raises WeightsError for other texts."""
    match = HUB_ADDRESS.fullmatch(text.removeprefix("hf:"))
    file = match["file"] or WEIGHTS_FILE if match else ""
    if match is None or file.startswith("/") or ".." in file.split("/"):
        raise WeightsError(
            f"{text}: need hf:OWNER/NAME, then @REVISION and :FILE if they are not the usual "
            "ones, got another form"
        )
    return HubFile(match["repository"], match["revision"], file)


def download_from_hub(
    hub_file: HubFile, cache: Path | None, announce: Announce, sha256: str = "", *, max_bytes: int
) -> Path:
    """Download the file unless the library's cache has it; offline, use the cache.

    ``announce`` is called with the size before a download begins. The file is checked by
    ``sha256``, or by the hash that the hub reports. Raises WeightsError.
    """
    hub = _import_hub(hub_file)
    options = _download_options(hub_file, cache)
    url = hub.hf_hub_url(
        hub_file.repository, hub_file.file, revision=hub_file.revision, endpoint=ENDPOINT
    )
    try:
        file_metadata = hub.get_hf_file_metadata(url)
    except Exception as error:  # errors of the library, and of its network client
        path = _cached_file(hub, hub_file, options)
        if path is None:
            raise WeightsError(
                f"{hub_file.address}: need a file that can be read from the hub, got "
                f"{_error_text(error)}; check the name and the network"
            ) from error
        return _require_hash(hub_file, path, sha256 or _hash_from_cache_name(path))
    expected_hash = (sha256 or file_metadata.etag or "").lower()
    if not sha256 and not re.fullmatch("[0-9a-f]{64}", expected_hash):
        raise WeightsError(
            f"{hub_file.address}: need a SHA-256, got none from the hub, which has it only for "
            "large files; give sha256=..."
        )
    if (file_metadata.size or 0) > max_bytes:
        raise WeightsError(
            f"{hub_file.address}: need at most {size_text(max_bytes)}, got a file of "
            f"{size_text(file_metadata.size)}"
        )
    _announce_download(hub, hub_file, file_metadata, url, options, announce)
    try:
        path = Path(
            hub.hf_hub_download(hub_file.repository, hub_file.file, endpoint=ENDPOINT, **options)
        )
    except Exception as error:
        raise WeightsError(
            f"{hub_file.address}: the download failed, {_error_text(error)}; start again, the "
            "part that arrived is kept"
        ) from error
    return _require_hash(hub_file, path, expected_hash)


def download_timm_config(
    hub_file: HubFile, cache: Path | None, announce: Announce
) -> TimmConfig | None:
    """Download the repository's ``config.json`` if it is timm's, else return None.

    It is a small text; the weights that it describes are checked by hash.
    """
    hub = _import_hub(hub_file)
    config_file = HubFile(hub_file.repository, hub_file.revision, CONFIG_FILE)
    options = _download_options(config_file, cache)
    url = hub.hf_hub_url(
        config_file.repository, config_file.file, revision=config_file.revision, endpoint=ENDPOINT
    )
    path: Path | None
    try:
        file_metadata = hub.get_hf_file_metadata(url)
        if file_metadata.size is None or file_metadata.size > MAX_CONFIG_BYTES:
            return None
        _announce_download(hub, config_file, file_metadata, url, options, announce)
        path = Path(
            hub.hf_hub_download(
                config_file.repository, config_file.file, endpoint=ENDPOINT, **options
            )
        )
    except Exception:  # there is none, or no network
        path = _cached_file(hub, config_file, options)
    try:
        if path is None:
            return None
        return to_timm_config(json.loads(path.read_text(encoding="utf-8")), announce)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # another library's: the user has to name the network


def to_timm_config(document: Mapping[str, Any], announce: Announce) -> TimmConfig:
    """Read the parsed file. Raises ValueError, KeyError or TypeError for other files."""
    pretrained_cfg = document["pretrained_cfg"]
    pixels = int(pretrained_cfg["input_size"][-1])
    if pretrained_cfg.get("crop_mode", "center") != "center":
        announce(
            f"{document['architecture']}: its publisher squashes images into squares; here the "
            "middle square is taken"
        )
    return TimmConfig(
        architecture=str(document["architecture"]),
        num_classes=int(document.get("num_classes", pretrained_cfg.get("num_classes", 1000))),
        preparation=Preparation(
            pixels=pixels,
            stored=(stored := math.floor(pixels / float(pretrained_cfg.get("crop_pct", 0.875)))),
            zoom=stored / pixels,
            mean=tuple(float(value) for value in pretrained_cfg["mean"]),
            std=tuple(float(value) for value in pretrained_cfg["std"]),
            interpolation="bilinear"
            if pretrained_cfg.get("interpolation") == "bilinear"
            else "bicubic",
        ),
    )


def _announce_download(
    hub: Any,
    hub_file: HubFile,
    file_metadata: Any,
    url: str,
    options: Mapping[str, Any],
    announce: Announce,
) -> None:
    """Announce a download; say nothing if the cache has the file."""
    cached = hub.try_to_load_from_cache(
        hub_file.repository,
        hub_file.file,
        cache_dir=options["cache_dir"],
        revision=file_metadata.commit_hash,
    )
    if not isinstance(cached, str):
        size = size_text(file_metadata.size) if file_metadata.size else "of unknown size"
        cache_text = options["cache_dir"] or "the library's cache"
        announce(f"downloading {hub_file.file}, {size}: from {url} to {cache_text}")


def _download_options(hub_file: HubFile, cache: Path | None) -> dict[str, Any]:
    folder = None if cache is None else str(cache / "huggingface")
    return {"cache_dir": folder, "revision": hub_file.revision}


def _cached_file(hub: Any, hub_file: HubFile, options: dict[str, Any]) -> Path | None:
    """Return the file in the library's cache, without asking the network."""
    try:
        download: Callable[..., str] = hub.hf_hub_download
        return Path(download(hub_file.repository, hub_file.file, local_files_only=True, **options))
    except Exception:  # not there
        return None


def _error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _hash_from_cache_name(path: Path) -> str:
    """Hash of a cached file: the library names a large file by its SHA-256."""
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else ""


def _require_hash(hub_file: HubFile, path: Path, expected: str) -> Path:
    actual_hash = sha256_of(path)
    if not actual_hash.startswith(expected.lower()):
        raise WeightsError(
            f"{hub_file.address}: need the file with SHA-256 {expected}, got {actual_hash}; remove "
            f"{path.resolve()} and start again"
        )
    return path


def _import_hub(hub_file: HubFile) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise WeightsError(
            f"{hub_file.address}: need huggingface_hub, got {error}; pip install 'scalesearch[hub]'"
        ) from error
    return huggingface_hub

"""Pretrained networks from a name, a file, an address, or the Hugging Face hub."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from scalesearch.architectures.stages import Architecture
from scalesearch.deploy.layouts.conversion import import_weights
from scalesearch.deploy.pretrained.hub import (
    download_from_hub,
    download_timm_config,
    parse_hub_address,
)
from scalesearch.deploy.pretrained.published_weights import pretrained_weights
from scalesearch.downloads import (
    Announce,
    Download,
    Progress,
    announce_on_stderr,
    fetch_file,
    sha256_of,
)
from scalesearch.errors import WeightsError
from scalesearch.io import user_cache_folder
from scalesearch.training.network_file import SavedNetwork, read_network

CLASSES_FILE = Path(__file__).with_name("imagenet_classes.txt")


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Names of ImageNet's thousand classes, in the order of the logits."""
    lines = CLASSES_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


MAX_BYTES = 2 * 10**9
"""Limit of a weight file in bytes; EfficientNet-B7 has 0.27e9, EfficientNet-L2 1.9e9."""

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".h5", ".ckpt", ".tar")
"""Suffixes by which a text is a file name, whether the file exists or not."""


def from_pretrained(
    source: str | Path,
    architecture: Architecture | str | None = None,
    *,
    layout: str | None = None,
    sha256: str = "",
    cache: Path | None = None,
    announce: Announce = announce_on_stderr,
    progress: Progress | None = None,
) -> SavedNetwork:
    """Load a network with published or local weights, in evaluation mode.

    ``source``: a name of ``PRETRAINED`` (``efficientnet-b0`` to ``efficientnet-b7`` are
    torchvision's), a file, an address (``https://...``), or ``hf:OWNER/NAME[@REVISION][:FILE]`` on
    the Hugging Face hub. ``architecture``: the network, or its name (``efficientnet_b3``), if
    neither the source nor the file states it. ``layout``: names of the tensors, if they do not
    show it. ``sha256``: hash of the file, or its first digits; an address needs it, unless its
    file name ends in them (``...-7f5810bc.pth``).

    Downloads are kept in ``cache`` (by default the user's). ``announce`` is called with source and
    size before anything is read (by default it prints to standard error), ``progress`` with bytes.
    No code in a file ever runs.

    Raises WeightsError if the file cannot be fetched, has another hash, or is of another network.
    """
    fetcher = _WeightsFetcher(cache, announce, progress, sha256)
    text = str(source)
    if text.startswith("hf:"):
        return _from_hub_address(text, architecture, layout, fetcher)
    if text.startswith(("http://", "https://")):
        return _read_weights(fetcher.fetch_url(text), architecture, layout, origin=text)
    if Path(source).is_file():
        return _read_weights(
            fetcher.check_local_file(Path(source)), architecture, layout, origin=text
        )
    if isinstance(source, Path) or "/" in text or Path(source).suffix in WEIGHTS_SUFFIXES:
        raise WeightsError(f"{source}: need a file, got none; check the path")
    return _from_name(text, fetcher)


class _WeightsFetcher:
    """Fetches the files of one call."""

    def __init__(
        self, cache: Path | None, announce: Announce, progress: Progress | None, sha256: str
    ) -> None:
        self.cache = cache
        self.folder = (cache or user_cache_folder()) / "weights"
        self.announce = announce
        self.progress = progress
        self.sha256 = sha256

    def fetch(self, where: str, download: Download, folder: Path) -> Path:
        """Download the weights, or find them in the cache."""
        return fetch_file(
            where,
            download,
            folder,
            self.progress,
            error_type=WeightsError,
            announce=self.announce,
            max_bytes=MAX_BYTES,
        )

    def fetch_url(self, url: str) -> Path:
        """Fetch an address; the hash is given or ends its file name."""
        name = urlsplit(url).path.rpartition("/")[2]
        digits = self.sha256 or Path(name).stem.rpartition("-")[2]
        try:
            download = Download(name, digits, (url,))
        except ValueError as error:
            raise WeightsError(
                f"{url}: {error}; give an address that ends in a file name, and sha256=..."
            ) from error
        return self.fetch(url, download, self.folder / download.sha256.lower()[:16])

    def check_local_file(self, path: Path) -> Path:
        """Check a local file if a hash was given."""
        if self.sha256 and not (actual_hash := sha256_of(path)).startswith(self.sha256.lower()):
            raise WeightsError(
                f"{path}: need SHA-256 {self.sha256}, got {actual_hash}; give that file"
            )
        return path


def _from_name(name: str, fetcher: _WeightsFetcher) -> SavedNetwork:
    weights = pretrained_weights(name)
    download = (
        replace(weights.download, sha256=fetcher.sha256) if fetcher.sha256 else weights.download
    )
    path = fetcher.fetch(f"weights {weights.name}", download, fetcher.folder)
    preparation = replace(weights.preparation, class_names=imagenet_classes())
    saved_network = import_weights(
        path, weights.architecture, weights.layout, preparation=preparation
    )
    return replace(saved_network, name=weights.name, origin=f"{weights.about}: {download.urls[0]}")


def _from_hub_address(
    text: str, architecture: Architecture | str | None, layout: str | None, fetcher: _WeightsFetcher
) -> SavedNetwork:
    hub_file = parse_hub_address(text)
    timm_config = (
        None
        if architecture is not None
        else download_timm_config(hub_file, fetcher.cache, fetcher.announce)
    )
    path = download_from_hub(
        hub_file, fetcher.cache, fetcher.announce, fetcher.sha256, max_bytes=MAX_BYTES
    )
    if timm_config is None:
        return _read_weights(path, architecture, layout, origin=hub_file.address)
    default_layout = "timm-tf" if timm_config.architecture.startswith("tf_") else "timm"
    names = imagenet_classes() if timm_config.num_classes == len(imagenet_classes()) else ()
    preparation = replace(timm_config.preparation, class_names=names)
    saved_network = import_weights(
        path, timm_config.architecture, layout or default_layout, preparation=preparation
    )
    return replace(saved_network, origin=hub_file.address)


def _read_weights(
    path: Path, architecture: Architecture | str | None, layout: str | None, origin: str
) -> SavedNetwork:
    """Read one of our files, or another layout if an architecture is given."""
    if architecture is None:
        saved_network = read_network(path)
        return replace(saved_network, origin=saved_network.origin or origin)
    return replace(import_weights(path, architecture, layout), origin=origin)

"""Weights from wherever they are: a name, a file, an address, the Hugging Face hub."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from scalesearch.architectures import Architecture
from scalesearch.downloads import Download, Progress, Told, announced, fetched, sha256_of
from scalesearch.errors import WeightsError
from scalesearch.files import user_cache
from scalesearch.weights.layouts import imported
from scalesearch.weights.network_file import Saved, read_network
from scalesearch.weights.sources.classes import imagenet_classes
from scalesearch.weights.sources.hub import configuration, from_hub, hub_place
from scalesearch.weights.sources.table import published

MOST = 2 * 10**9
"""Bytes that a file of weights may have; EfficientNet-B7 has 0.27e9, EfficientNet-L2 1.9e9."""

ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".h5", ".ckpt", ".tar")
"""By which a text is meant to be a file, whether there is one or not."""


def from_pretrained(
    source: str | Path,
    architecture: Architecture | str | None = None,
    *,
    layout: str | None = None,
    sha256: str = "",
    cache: Path | None = None,
    told: Told = announced,
    progress: Progress | None = None,
) -> Saved:
    """A network with weights that somebody trained, in evaluation mode.

    ``source``: a name of ``PRETRAINED`` (``efficientnet-b0`` to ``efficientnet-b7`` are
    torchvision's), a file, an address (``https://...``), or ``hf:OWNER/NAME[@REVISION][:FILE]`` on
    the Hugging Face hub. ``architecture``: the network, or its name (``efficientnet_b3``), where
    neither the source nor the file says it. ``layout``: how the file names its tensors, where they
    do not show it. ``sha256``: what the file is checked by, or its first digits; an address needs
    it, unless its file name ends in them (``...-7f5810bc.pth``).

    Downloads are kept in ``cache`` (by default the user's). ``told`` hears what is downloaded from
    where, and how large it is, before any of it is read; by default standard error says it.
    ``progress`` is called with bytes. Nothing in a file is ever executed.

    Raises WeightsError where the file cannot be had, is another one, or is of another network.
    """
    get = _Getting(cache, told, progress, sha256)
    text = str(source)
    if text.startswith("hf:"):
        return _of_hub(text, architecture, layout, get)
    if text.startswith(("http://", "https://")):
        return _opened(get.address(text), architecture, layout, origin=text)
    if Path(source).is_file():
        return _opened(get.own(Path(source)), architecture, layout, origin=text)
    if isinstance(source, Path) or "/" in text or Path(source).suffix in ENDINGS:
        raise WeightsError(f"{source}: no such file")
    return _of_name(text, get)


class _Getting:
    """How files are had for one call."""

    def __init__(
        self, cache: Path | None, told: Told, progress: Progress | None, sha256: str
    ) -> None:
        self.cache = cache
        self.folder = (cache or user_cache()) / "weights"
        self.told = told
        self.progress = progress
        self.sha256 = sha256

    def file(self, where: str, wanted: Download, folder: Path) -> Path:
        return fetched(
            where,
            wanted,
            folder,
            self.progress,
            refusal=WeightsError,
            told=self.told,
            most=MOST,
        )

    def address(self, url: str) -> Path:
        """The file at an address, by the hash that was given or that its name ends in."""
        name = urlsplit(url).path.rpartition("/")[2]
        digits = self.sha256 or Path(name).stem.rpartition("-")[2]
        try:
            wanted = Download(name, digits, (url,))
        except ValueError as error:
            raise WeightsError(
                f"{url}: {error}; say which file is meant by sha256=..., of a file with a name"
            ) from error
        return self.file(url, wanted, self.folder / wanted.sha256.lower()[:16])

    def own(self, path: Path) -> Path:
        """A file of one's own, checked only where a hash was given."""
        if self.sha256 and not (found := sha256_of(path)).startswith(self.sha256.lower()):
            raise WeightsError(f"{path}: need SHA-256 {self.sha256}, got {found}; bring that file")
        return path


def _of_name(name: str, get: _Getting) -> Saved:
    wanted = published(name)
    file = replace(wanted.file, sha256=get.sha256) if get.sha256 else wanted.file
    path = get.file(f"weights {wanted.name}", file, get.folder)
    preparation = replace(wanted.preparation, class_names=imagenet_classes())
    saved = imported(path, wanted.architecture, wanted.layout, preparation=preparation)
    return replace(saved, name=wanted.name, origin=f"{wanted.about}: {file.urls[0]}")


def _of_hub(
    text: str, architecture: Architecture | str | None, layout: str | None, get: _Getting
) -> Saved:
    place = hub_place(text)
    says = None if architecture is not None else configuration(place, get.cache, get.told)
    path = from_hub(place, get.cache, get.told, get.sha256, most=MOST)
    if says is None:
        return _opened(path, architecture, layout, origin=place.named)
    known = "timm-tf" if says.architecture.startswith("tf_") else "timm"
    names = imagenet_classes() if says.num_classes == len(imagenet_classes()) else ()
    preparation = replace(says.preparation, class_names=names)
    saved = imported(path, says.architecture, layout or known, preparation=preparation)
    return replace(saved, origin=place.named)


def _opened(
    path: Path, architecture: Architecture | str | None, layout: str | None, origin: str
) -> Saved:
    """A file of ours, or of another layout where an architecture is given."""
    if architecture is None:
        saved = read_network(path)
        return replace(saved, origin=saved.origin or origin)
    return replace(imported(path, architecture, layout), origin=origin)

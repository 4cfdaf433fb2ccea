"""MNIST and Fashion-MNIST, in the IDX format of yann.lecun.com/exdb/mnist.

A file begins with two zero bytes, the type (8: unsigned bytes) and the number of dimensions. Then
follow each dimension as a big-endian 32-bit number and the values: 0x00000803 for images, (N, H,
W), and 0x00000801 for labels.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scalesearch.config.experiment import DataSpec
from scalesearch.data.collection import Collection, Part
from scalesearch.data.decoding import OnImageProgress, resized_images
from scalesearch.data.sources.archives import broken_archive_error, fetch_archives
from scalesearch.downloads import Download

ByteArray = NDArray[np.uint8]

UNSIGNED_BYTES = 8


@dataclass(frozen=True, slots=True)
class IdxDataset:
    """A data set of four files: images and labels for training and for test."""

    files: tuple[Download, Download, Download, Download]
    class_names: tuple[str, ...]
    allows_flip: bool


def _downloads(
    urls: tuple[str, ...], *sha256: str
) -> tuple[Download, Download, Download, Download]:
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    train_images, train_labels, test_images, test_labels = (
        Download(name, digest, tuple(url + name for url in urls))
        for name, digest in zip(names, sha256, strict=True)
    )
    return train_images, train_labels, test_images, test_labels


MNIST = IdxDataset(
    files=_downloads(
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    class_names=tuple("0123456789"),
    allows_flip=False,
)
FASHION_MNIST = IdxDataset(
    files=_downloads(
        # The authors' own server, which offers no https; the hashes verify the files.
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    allows_flip=True,
)


def read_idx_dataset(
    idx: IdxDataset,
    location: str,
    spec: DataSpec,
    cache: Path | None,
    progress: OnImageProgress | None,
) -> Collection:
    """60,000 grey images for training and 10,000 for test.

    ``location``: a folder with the files. Raises DataError for files that are missing or torn.
    """
    where = f"data.source {spec.source}"
    paths = fetch_archives(spec, location, idx.files, cache, progress)
    train, train_labels = _read_images_and_labels(where, paths[0], paths[1], len(idx.class_names))
    test, test_labels = _read_images_and_labels(where, paths[2], paths[3], len(idx.class_names))
    if train.shape[1:] != test.shape[1:]:
        raise broken_archive_error(
            where, paths[2], f"images of {_size_text(train)}", _size_text(test)
        )
    images = np.concatenate([train, test])[:, np.newaxis]
    sizes: dict[Part, int] = {"train": len(train), "test": len(test)}
    return Collection(
        where=where,
        images=images if spec.pixels is None else resized_images(images, spec.pixels),
        labels=np.concatenate([train_labels, test_labels]).astype(np.int64),
        names=tuple(f"{row:05d}" for size in sizes.values() for row in range(size)),
        parts=tuple(part for part, size in sizes.items() for _ in range(size)),
        class_names=idx.class_names,
        allows_flip=idx.allows_flip,
    )


def read_idx(where: str, path: Path, dimensions: int) -> ByteArray:
    """Array of a gzipped IDX file of unsigned bytes.

    Raises DataError for a file that is torn, of another kind, or longer than its header states.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise broken_archive_error(where, path, "a whole gzip file", error) from error
    magic = bytes([0, 0, UNSIGNED_BYTES, dimensions])
    header = 4 + 4 * dimensions
    if content[:4] != magic or len(content) < header:
        got = f"one that begins with 0x{content[:4].hex()}"
        raise broken_archive_error(where, path, f"an IDX file (0x{magic.hex()})", got)
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        got = f"{len(content) - header} bytes"
        raise broken_archive_error(
            where, path, f"{' x '.join(map(str, shape))} bytes after the header", got
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _read_images_and_labels(
    where: str, images_path: Path, labels_path: Path, classes: int
) -> tuple[ByteArray, ByteArray]:
    """Square images (N, H, W) and their labels."""
    images, labels = read_idx(where, images_path, 3), read_idx(where, labels_path, 1)
    if images.shape[1] != images.shape[2] or not images.size:
        raise broken_archive_error(where, images_path, "square images", f"the shape {images.shape}")
    if len(labels) != len(images):
        raise broken_archive_error(where, labels_path, f"{len(images)} labels", len(labels))
    if labels.max() >= classes:
        raise broken_archive_error(where, labels_path, f"labels below {classes}", labels.max())
    return images, labels


def _size_text(images: ByteArray) -> str:
    return f"{images.shape[1]} x {images.shape[2]}"

"""CIFAR-10 and CIFAR-100 (cs.toronto.edu/~kriz/cifar.html), binary version.

A record is one byte of label (CIFAR-100: the coarse one, then the fine one) and 3 x 32 x 32 bytes
of pixels, red first. The Python version uses pickles, which can run code.
"""

import gzip
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scalesearch.config.experiment import DataSpec
from scalesearch.data.collection import Collection, Part
from scalesearch.data.decoding import OnImageProgress, resized_images
from scalesearch.data.sources.archives import broken_archive_error, fetch_archives
from scalesearch.downloads import Download

SIDE = 32
PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True, slots=True)
class CifarDataset:
    """CIFAR-10 or CIFAR-100; the last of ``label_bytes`` is the label."""

    archive: Download
    train: tuple[str, ...]
    test: str
    class_names: str
    label_bytes: int


CIFAR10 = CifarDataset(
    archive=Download(
        "cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    ),
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test="test_batch.bin",
    class_names="batches.meta.txt",
    label_bytes=1,
)
CIFAR100 = CifarDataset(
    archive=Download(
        "cifar-100-binary.tar.gz",
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
    ),
    train=("train.bin",),
    test="test.bin",
    class_names="fine_label_names.txt",
    label_bytes=2,
)


def read_cifar(
    cifar: CifarDataset,
    location: str,
    spec: DataSpec,
    cache: Path | None,
    progress: OnImageProgress | None,
) -> Collection:
    """50,000 colour images for training and 10,000 for test.

    ``location``: a folder with the archive. Raises DataError for an archive that is missing or
    torn.
    """
    where = f"data.source {spec.source}"
    (path,) = fetch_archives(spec, location, [cifar.archive], cache, progress)
    files = _read_members(where, path, {*cifar.train, cifar.test, cifar.class_names})
    class_names = tuple(files[cifar.class_names].decode().split())
    *train, test = (
        _parse_records(where, path, cifar, files, name) for name in (*cifar.train, cifar.test)
    )
    records = np.concatenate([*train, test])
    sizes: dict[Part, int] = {"train": len(records) - len(test), "test": len(test)}
    labels = records[:, cifar.label_bytes - 1].astype(np.int64)
    if (greatest := labels.max(initial=0)) >= len(class_names):
        raise broken_archive_error(where, path, f"labels below {len(class_names)}", greatest)
    images = records[:, cifar.label_bytes :].reshape(-1, 3, SIDE, SIDE)
    return Collection(
        where=where,
        images=images if spec.pixels is None else resized_images(images, spec.pixels),
        labels=labels,
        names=tuple(f"{row:05d}" for size in sizes.values() for row in range(size)),
        parts=tuple(part for part, size in sizes.items() for _ in range(size)),
        class_names=class_names,
        allows_flip=True,
    )


def _read_members(where: str, path: Path, names: set[str]) -> dict[str, bytes]:
    """Content of the archive's files of these names, in any folder; nothing is unpacked."""
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    name = Path(member.name).name
                    if name in names and (file := archive.extractfile(member)) is not None:
                        contents[name] = file.read()
            while stream.read(2**20):  # read to the end, where the checksum is
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise broken_archive_error(where, path, "a whole .tar.gz archive", error) from error
    if missing := names - set(contents):
        raise broken_archive_error(
            where, path, "the binary version", f"none of {', '.join(sorted(missing))}"
        )
    return contents


def _parse_records(
    where: str, path: Path, cifar: CifarDataset, files: Mapping[str, bytes], name: str
) -> NDArray[np.uint8]:
    """Return records of one file, (N, label bytes + pixels)."""
    length, content = cifar.label_bytes + PIXELS, files[name]
    if not content or len(content) % length:
        rule = f"records of {length} bytes"
        raise broken_archive_error(where, path, rule, f"{len(content)} bytes of {name}")
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, length)

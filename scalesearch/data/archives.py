"""Archives of public data sets: one's own, or downloaded into the user's cache."""

from collections.abc import Sequence
from pathlib import Path

from scalesearch.data.decoding import Progress
from scalesearch.downloads import Download, fetched
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec
from scalesearch.files import user_cache


def archives(
    spec: DataSpec,
    location: str,
    downloads: Sequence[Download],
    cache: Path | None,
    progress: Progress | None,
) -> list[Path]:
    """The files of a data set: those in the folder ``location``, or if that is empty, downloaded.

    Files of one's own are not checked by hash, since they may be other images in the same format.
    """
    where = f"data.source {spec.source}"
    if location:
        return [_own(where, Path(location).expanduser() / wanted.name) for wanted in downloads]
    folder = (cache or user_cache()) / "downloads" / spec.source
    return [fetched(where, wanted, folder, progress, refusal=DataError) for wanted in downloads]


def broken(where: str, path: Path, rule: str, got: object) -> DataError:
    """What to raise for an archive that is not what it should be."""
    return DataError(
        f"{where}: need {rule} in {path}, got {got}; remove the file and let it be downloaded "
        "again, or bring a whole one"
    )


def _own(where: str, path: Path) -> Path:
    if path.is_file():
        return path
    raise DataError(
        f"{where}: need the file {path.name} in {path.parent}, got none; put it there, or leave "
        "the folder out to have it downloaded"
    )

"""Archives of public data sets: local files, or downloads in the user's cache."""

from collections.abc import Sequence
from pathlib import Path

from scalesearch.config.experiment import DataSpec
from scalesearch.data.decoding import OnImageProgress
from scalesearch.downloads import Download, fetch_file
from scalesearch.errors import DataError
from scalesearch.io import user_cache_folder


def fetch_archives(
    spec: DataSpec,
    location: str,
    downloads: Sequence[Download],
    cache: Path | None,
    progress: OnImageProgress | None,
) -> list[Path]:
    """Files of a data set in ``location``, or downloaded if that is empty.

    Local files are not checked by hash: they may be other images in the same format.
    """
    where = f"data.source {spec.source}"
    if location:
        return [
            _require_file(where, Path(location).expanduser() / download.name)
            for download in downloads
        ]
    folder = (cache or user_cache_folder()) / "downloads" / spec.source
    return [
        fetch_file(where, wanted, folder, progress, error_type=DataError) for wanted in downloads
    ]


def broken_archive_error(where: str, path: Path, rule: str, got: object) -> DataError:
    """Error for an archive that is not what it should be."""
    return DataError(
        f"{where}: need {rule} in {path}, got {got}; remove the file and let it be downloaded "
        "again, or bring a whole one"
    )


def _require_file(where: str, path: Path) -> Path:
    if path.is_file():
        return path
    raise DataError(
        f"{where}: need the file {path.name} in {path.parent}, got none; put it there, or leave "
        "the folder out to have it downloaded"
    )

"""Export a network to files that other programs read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.api.network_lookup import code_allowed_if, read_baseline
from scalesearch.config.experiment import DataSpec
from scalesearch.deploy.export.format_comparison import compare_exports
from scalesearch.deploy.export.formats import (
    FORMATS,
    ExportedFile,
    ExportRequest,
    to_file_name,
)
from scalesearch.deploy.export.sample_images import ImageSet, load_image_set
from scalesearch.deploy.export.standalone.files import Exportable
from scalesearch.deploy.network_references import (
    ReferencedNetwork,
    family_networks,
    is_network_reference,
    network_from_reference,
)
from scalesearch.errors import ExportError
from scalesearch.io import write_json
from scalesearch.models.network import Network, NetworkOptions
from scalesearch.reporting.console import write_csv
from scalesearch.reporting.terminal.display import show_count, show_images
from scalesearch.results.environment import environment_info
from scalesearch.training.network_file import SavedNetwork, read_network


@dataclass(frozen=True, slots=True)
class Export:
    """Files that an export wrote, and their comparison if it was asked for."""

    network: str
    file_rows: list[dict[str, Any]]
    comparison_rows: list[dict[str, Any]]

    @property
    def document(self) -> dict[str, Any]:
        """The export as JSON values."""
        return {
            "network": self.network,
            "files": self.file_rows,
            "comparison": self.comparison_rows,
        }


def export_model(
    network: str,
    formats: Sequence[str],
    out: str | Path,
    *,
    data: str | None = None,
    train_samples: int | None = None,
    validation_samples: int | None = None,
    epochs: int = 2,
    seed: int = 0,
    compare: bool = False,
    batch_sizes: Sequence[int] = (1,),
    threads: int = 1,
    rounds: int = 20,
    allow_code: bool = False,
) -> Export:
    """Export a network to each of the formats (see ``FORMATS``) and verify the files.

    ``network``: a .safetensors file, FAMILY.json, FAMILY.json:b2, FOLDER:best, or a baseline's
    name; formats with weights need a .safetensors file. ``data``: source of the images that some
    formats calibrate, train or compare on. ``compare``: also time and test all files side by side,
    into ``comparison.csv`` and ``.json``. Raises ExportError for a network a format cannot hold.
    """
    folder = Path(out)

    def load_images(saved_network: SavedNetwork) -> ImageSet:
        """Load the images of the data set."""
        spec = DataSpec(
            source=data or "", train_samples=train_samples, validation_samples=validation_samples
        )
        with show_images() as on_data:
            return load_image_set(saved_network, spec, seed, on_data)

    request = ExportRequest(
        network,
        folder,
        read_exportables,
        load_images=None if data is None else load_images,
        show_steps=show_count,
        epochs=epochs,
        seed=seed,
    )
    rows: list[dict[str, Any]] = []
    comparison: list[dict[str, Any]] = []
    with code_allowed_if(allow_code), _output_folder(folder):
        for name in formats:
            rows += [_file_row(name, exported_file) for exported_file in FORMATS[name](request)]
        if compare:
            comparison = compare_exports(
                request.saved_network,
                {row["format"]: Path(row["file"]) for row in rows},
                request.image_set,
                batch_sizes=batch_sizes,
                threads=threads,
                rounds=rounds,
            )
        export = Export(network, rows, comparison)
        if compare:
            conditions = {"data": data, "threads": threads, "rounds": rounds}
            _write_comparison(folder, {**export.document, **conditions})
    return export


def read_exportables(source: str) -> list[Exportable]:
    """Return the networks of a source as they can be written as code.

    ``source``: a .safetensors file, all members of FAMILY.json or one (FAMILY.json:b2), a search's
    network (FOLDER:best), or a baseline's name. Raises what their readers raise.
    """
    path = Path(source)
    if path.suffix == ".safetensors":
        saved = read_network(path)
        network = saved.network
        options = network.options if isinstance(network, Network) else NetworkOptions()
        name = to_file_name(saved.name or path.stem)
        return [Exportable(name, saved.architecture, options, saved)]
    if path.suffix == ".json":
        networks = family_networks(path)
    elif is_network_reference(source):
        networks = [network_from_reference(source)]
    else:
        baseline = read_baseline(source)
        networks = [ReferencedNetwork(path.stem, baseline, baseline)]
    return [
        Exportable(
            to_file_name(member.name),
            member.network,
            NetworkOptions(dropout=member.dropout, drop_connect=member.drop_connect),
        )
        for member in networks
    ]


def _write_comparison(folder: Path, document: dict[str, Any]) -> None:
    """Write the comparison's table, and all that it depends on."""
    write_csv(folder / "comparison.csv", document["comparison"])
    write_json(folder / "comparison.json", {**document, "environment": environment_info("cpu")})


@contextmanager
def _output_folder(folder: Path) -> Iterator[None]:
    """Create the folder; raise ExportError if it or a file in it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ExportError(f"{folder}: cannot be written: {error}; choose another --out") from error


def _file_row(name: str, exported_file: ExportedFile) -> dict[str, Any]:
    return {
        "format": name,
        "file": str(exported_file.path),
        "bytes": exported_file.path.stat().st_size,
        "says": exported_file.message,
    }

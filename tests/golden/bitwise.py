"""Whether two checkouts train the same bits: ``python bitwise.py OLD_REPO NEW_REPO``.

Each runs the quickstart, and a search with rungs, a race and TPE, on this machine. Their records
are compared byte for byte, but for what was measured and the commit. Exit code 1: they differ.

Takes a few minutes. ``--small`` leaves the quickstart out. The Python that runs this script runs
the searches; ``--old-command`` and ``--new-command`` say what ``search`` is called.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

MEASURED = (
    "seconds",
    "tuning_seconds",
    "images_per_second",
    "peak_bytes",
    "utilisation",
    "device",
    "commit",
)
"""Columns that are not compared."""

TUNED = """
name: tuned
baseline: {name: efficientnet_b0, width: 0.25, depth: 0.3, resolution: 16, stem_stride: 1}
data: {source: digits, train_samples: 200, validation_samples: 150, pixels: 16}
budget: {factor: 2.0, tolerance: 0.03, rounding: even}
recipe: {preset: fast, epochs: 3, batch_size: 20, learning_rate: 0.1, threads: 1}
search:
  sampler: tpe
  trials: 8
  seeds: 3
  race: 2
  rungs: [1, 3]
  references: [depth, width, resolution, paper]
device: cpu
seed: 0
"""


def main() -> None:
    """Run the searches with both checkouts, and say whether their records are equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--small", action="store_true", help="without the quickstart")
    parser.add_argument("--old-command", default="search")
    parser.add_argument("--new-command", default="search")
    chosen = parser.parse_args()
    equal = True
    with tempfile.TemporaryDirectory() as place:
        tuned = Path(place) / "tuned.yaml"
        tuned.write_text(TUNED, encoding="utf-8")
        # One file for both, so that a quickstart that is written anew does not count.
        quickstart = chosen.old.resolve() / "experiments" / "quickstart.yaml"
        for experiment in (tuned,) if chosen.small else (tuned, quickstart):
            name = experiment.stem
            old = _records(chosen.old, chosen.old_command, experiment, Path(place) / f"{name}-old")
            new = _records(chosen.new, chosen.new_command, experiment, Path(place) / f"{name}-new")
            equal &= _told(name, old, new)
    sys.exit(0 if equal else 1)


def _records(repo: Path, command: str, experiment: Path, folder: Path) -> Path:
    """Search with the package in a checkout; the file of its records."""
    environment = {**os.environ, "PYTHONPATH": str(repo.resolve()), "OMP_NUM_THREADS": "1"}
    where = [sys.executable, "-c", "import scalesearch; print(scalesearch.__file__)"]
    package = subprocess.check_output(where, env=environment, cwd=folder.parent, text=True)
    if not Path(package.strip()).is_relative_to(repo.resolve()):
        sys.exit(f"{repo}: need its own package, got {package.strip()}")
    words = [sys.executable, "-m", "scalesearch", command, str(experiment)]
    words += ["--results", str(folder), "--executor", "inline"]
    with (folder.parent / f"{folder.name}.log").open("w+") as log:
        done = subprocess.run(
            words, cwd=folder.parent, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        if done.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(words)} in {repo} ended with {done.returncode}:\n{log.read()}")
    return folder / "records.csv"


def _told(name: str, old: Path, new: Path) -> bool:
    """Print what differs; whether nothing does."""
    rows = _compared(old), _compared(new)
    differ = [pair for pair in zip_longest(*rows) if pair[0] != pair[1]]
    if not differ:
        print(f"{name}: {len(rows[0]) - 1} records are equal, byte for byte")
        return True
    print(f"{name}: {len(differ)} of {len(rows[0]) - 1} records differ; the first ones:")
    for before, after in differ[:5]:
        print(f"  old {before}\n  new {after}")
    return False


def _compared(path: Path) -> Sequence[str]:
    """The header and the rows of a CSV file as texts, without the columns that are measured."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    kept = [place for place, name in enumerate(header) if name not in MEASURED]
    return [",".join(row[place] for place in kept) for row in [header, *rows]]


if __name__ == "__main__":
    main()

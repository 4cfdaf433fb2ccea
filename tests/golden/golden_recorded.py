"""What commands say that train nothing: of networks, and of the searches in ``results/``."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from golden_commands import ROOT, done, printed
from golden_compare import frozen, keys, report_tables, shape
from golden_names import WRITE_RESULTS

B0, LATTICE = "efficientnet_b0", "results/cifar10-lattice"
OWN = "experiments/baselines/tiny_mbconv.yaml"
GRID, FIXED = "experiments/cifar10_lattice.yaml", ("--workers", 8, "--seeds", 2)

PRINTED: dict[str, tuple[object, ...]] = {
    "ablations": ("ablate",),
    "baselines": ("baselines",),
    "compare": ("compare",),
    "compare-own": ("compare", B0, f"{LATTICE}/family.json:b2", f"{LATTICE}:best", OWN),
    "cost": ("cost", B0),
    "cost-b2": ("cost", B0, "--depth", 1.2, "--width", 1.1, "--resolution", 260),
    "cost-own": ("cost", OWN, "--width", 1.5, "--rounding", "even"),
    "explain": ("explain",),
    "family-published": ("family", "published", "--phi", "0..2"),
    "family-fast": ("family", "fast", "--phi", "0..2", "--rounding", "nearest"),
    "family-matched": ("family", "1.2,1.1,1.15", "--mode", "matched", "--phi", "0,0.5"),
    "family-found": ("family", f"{LATTICE}/coefficients.json", "--phi", "0..3"),
    "isocost": ("isocost", B0, "--limit", 40),
    "isocost-experiment": ("isocost", GRID, "--limit", 40),
    "isocost-own": ("isocost", OWN, "--factor", 3, "--rounding", "even", "--limit", 40),
    "pretrained": ("pretrained",),
    "refused-baseline": ("cost", "no_such_network"),
    "refused-folder": ("answer", "results/no-such-search"),
    "simulate": ("simulate", GRID, "--surface", "interior,flat,drifting", *FIXED),
    "simulate-tpe": ("simulate", GRID, "--surface", "corner", "--samplers", "tpe,gp", *FIXED),
    "simulate-table": ("simulate", GRID, "--table", "cifar10-lattice", *FIXED),
    "solve": ("solve", B0, "--target", "macs=1.0G"),
    "solve-found": ("solve", f"{LATTICE}/coefficients.json", "--target", "params=1M"),
}
"""Commands with ``--json`` whose document is compared as a whole."""

SEARCHES = (
    "cifar10-bayes",
    "cifar10-lattice",
    "cifar10-optimal",
    "cifar10-rungs",
    "clothing-optimal",
    "paper-nominal-grid",
)
POINTS = (
    "ablations/figure3/small/efficientnet_b0",
    "ablations/matched8/small/efficientnet_b0",
    "ablations/table7/small/efficientnet_b0",
    "cifar10-optimal/confirm",
    "clothing-optimal/confirm",
    "families/cifar10-found/efficientnet_b0",
)
"""Searches of networks that were listed one by one."""
REPORTED = ("cifar10-rungs", "clothing-optimal", "paper-nominal-grid")
DOCUMENTS = ("answer", "coefficients", "confirm", "family")


def copied(name: str, place: Path) -> Path:
    """A recorded folder's copy, without what is drawn."""
    folder = place / Path(name).name
    drawn = shutil.ignore_patterns("figures", "report.*", "*.png", "*.svg")
    shutil.copytree(ROOT / "results" / name, folder, ignore=drawn)
    return folder


def search_printed(name: str, place: Path) -> dict[str, Any]:
    """What is said of a recorded search, of one budget or of networks one by one."""
    folder = copied(name, place)
    said = {
        command: printed(command, folder, place=place)
        for command in ("answer", "status", "audit", "laws")
    }
    return {**said, "files": sorted(path.name for path in folder.iterdir())}


def search_written(name: str, place: Path) -> dict[str, Any]:
    """The documents of a recorded search, made anew from its records."""
    import warnings

    import scalesearch

    folder = copied(name, place)
    for document in DOCUMENTS:
        (folder / f"{document}.json").unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(scalesearch, WRITE_RESULTS)(folder)
    paths = {each: folder / f"{each}.json" for each in DOCUMENTS}
    return {
        each: frozen(json.loads(path.read_text(encoding="utf-8")), {str(place): "<place>"})
        for each, path in paths.items()
        if path.is_file()
    }


def report_written(name: str, place: Path) -> dict[str, Any]:
    """The files of a recorded search's report, and the numbers in its tables."""
    folder = copied(name, place)
    done("report", folder)
    return {"files": shape(folder), "tables": report_tables(folder / "report.md")}


def beside_printed(place: Path) -> Any:
    """Two searches of the same networks beside each other."""
    folder = copied("cifar10-lattice", place / "one")
    other = copied("cifar10-lattice", place / "other")
    return printed("audit", folder, "--beside", other, place=place)


def files_written(place: Path) -> dict[str, Any]:
    """Files of commands that write some into ``--out``."""
    done("family", "paper", "--phi", "0..1", "--out", place / "family")
    done("explain", "--out", place / "explain")
    done("compare", B0, "resnet18", "--top1", "resnet18=0.7", "--out", place / "compare")
    done("simulate", GRID, "--surface", "flat", *FIXED, "--out", place / "simulate")
    return shape(place)


def dry_run(place: Path) -> Any:
    """What a search would train; how long it would take is measured, and so left out."""
    quickstart = ("experiments/quickstart.yaml", "--noise-from", "results/cifar10-rungs")
    found = printed("search", *quickstart, "--dry-run", place=place)
    return {"candidates": found.pop("candidates"), "power": found.pop("power"), "keys": keys(found)}


def _printed(words: tuple[object, ...], place: Path) -> Any:
    return printed(str(words[0]), *words[1:], place=place)


CASES: dict[str, Callable[[Path], Any]] = {
    **{f"printed/{name}": partial(_printed, words) for name, words in PRINTED.items()},
    **{
        f"searches/{name.replace('/', '-')}": partial(search_printed, name)
        for name in SEARCHES + POINTS
    },
    **{f"written/{name}": partial(search_written, name) for name in SEARCHES},
    **{f"reports/{name}": partial(report_written, name) for name in REPORTED},
    "printed/audit-beside": beside_printed,
    "written/files": files_written,
    "printed/dry-run": dry_run,
}
"""Each with a new folder gives a document that is compared with the frozen one."""

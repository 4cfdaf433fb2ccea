"""A results folder as a search leaves it, with everything that a report shows."""

import json
import shutil

import numpy as np
import pytest

from scalesearch.config.reading import experiment_from_document, write_experiment
from scalesearch.reporting import page
from scalesearch.reporting.page import write_report
from scalesearch.reporting.report_figures import ReportFigure
from scalesearch.results.records import records_frame, write_records

ENVIRONMENT = {
    "device": "cpu", "processor": "A Processor", "cores": 2, "system": "Linux x86_64",
    "python": "3.12.1", "packages": {"scalesearch": "0.1.0", "torch": "2.13.0", "optuna": None},
    "commit": "abcdef123456",
    "data": {
        "source": "digits", "train": 900, "validation": 300, "pixels": 32, "channels": 1,
        "classes": [str(digit) for digit in range(10)],
        "fingerprints": {"0": "f0", "1": "f1", "2": "f2"},
    },
}  # fmt: skip
EXPERIMENT = {
    "name": "told",
    "baseline": {"width": 0.25, "resolution": 32, "stem_stride": 1},
    "data": {"source": "digits", "train_samples": 900, "validation_samples": 300},
    "recipe": {"epochs": 3},
    "search": {"step": 4, "seeds": 3, "rungs": [1, 3]},
}
CORNERS = {(1.0, 0.0, 0.0): "depth", (0.0, 1.0, 0.0): "width", (0.0, 0.0, 1.0): "resolution"}
LATTICE = [(i / 4, j / 4, (4 - i - j) / 4) for i in range(5) for j in range(5 - i)]
PLACES = [
    *((shares, "+".join([*filter(None, [CORNERS.get(shares)]), "searched"])) for shares in LATTICE),
    ((1 / 3, 1 / 3, 1 / 3), "uniform"),
    ((0.279, 0.292, 0.429), "paper"),
]
FAILURE = {
    "trial": 20, "candidate": "f" * 16, "role": "searched", "cell": "lattice 1-1-2 of 4",
    "asked_alpha": 1.2, "asked_beta": 1.1, "asked_gamma": 1.2, "kind": "out_of_memory",
    "reason": "needs <b>9 GiB</b> | of 8",
}  # fmt: skip
JOBS = """job,candidate,seeds,start,stop,attempt,worker,began,ended,failure
one,c0,0,0,1,0,here:1,1000.0,1060.0,
two,c1,0,0,1,0,here:2,1010.0,1090.0,
three,c0,0,1,3,0,here:1,1090.0,1150.0,
"""


def rows(seeds=3, last=3, stopped=3, places=PLACES, noise=0.02):
    """Highest at shares (.2, .5, .3); the ``stopped`` last of the lattice have the
    first epoch alone, but for references."""
    random = np.random.default_rng(0)
    early = range(len(LATTICE) - stopped, len(LATTICE))
    for number, ((d, w, r), role) in enumerate(places):
        gone = number in early and role == "searched"
        for seed in range(seeds):
            for epoch in range(1, (1 if gone else last) + 1):
                accuracy = 0.7 - 0.4 * ((d - 0.2) ** 2 + (w - 0.5) ** 2) - 0.2 / epoch
                yield {
                    "trial": number, "candidate": f"{number:02d}c0ffee00000000", "role": role,
                    "seed": seed, "epoch": epoch, "alpha": 2.0**d, "beta": 2.0 ** (w / 2),
                    "gamma": 2.0 ** (r / 2), "depth_share": d, "width_share": w,
                    "resolution_share": r, "resolution": 32, "macs": 7_700_000 + number,
                    "params": round(300_000 * (1 + d + w)), "factor": 2.0 + 0.001 * number,
                    "activations": round(200_000 * (1 + r + d / 2)), "asked_alpha": 2.0**d,
                    "asked_beta": 2.0 ** (w / 2), "asked_gamma": 2.0 ** (r / 2),
                    "deviation": 0.0, "cell": f"lattice {number}",
                    "stopped": "halved at epoch 1: place 9 of 15" if gone else "",
                    "train_loss": 1.0, "loss": 1.0, "accuracy": accuracy + random.normal(0, noise),
                    "seconds": 2.0, "images_per_second": 100.0, "device": "cpu",
                    "commit": "abcdef123456",
                }  # fmt: skip


@pytest.fixture(scope="session")
def searched():
    """Make a folder hold a search: ``experiment`` changes its experiment, the rest its rows."""

    def fill(folder, experiment=None, **changed):
        folder.mkdir()
        write_experiment(
            folder / "experiment.yaml", experiment_from_document(EXPERIMENT | (experiment or {}))
        )
        (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
        write_records(folder / "records.csv", records_frame(rows(**changed)))
        return folder

    return fill


@pytest.fixture(scope="session")
def report_folder(searched, tmp_path_factory):
    """A folder with its report, not to be changed."""
    folder = searched(tmp_path_factory.mktemp("results") / "told")
    (folder / "failures.json").write_text(json.dumps([FAILURE]))
    (folder / "jobs.csv").write_text(JOBS)
    write_report(folder)
    return folder


@pytest.fixture
def copied_folder(report_folder, tmp_path):
    """A copy of the folder that a test may change."""
    shutil.copytree(report_folder, tmp_path / "moved" / "told")
    return tmp_path / "moved" / "told"


@pytest.fixture
def without_figures(monkeypatch):
    """Make reports without drawing figures."""
    shown = (
        ReportFigure("surface", "Surface", "alt", "caption"),
        ReportFigure("rungs", "Curves", "alt", "x"),
    )
    monkeypatch.setattr(page, "write_report_figures", lambda facts, folder: shown)
    monkeypatch.setattr(page, "svg_data_uri", lambda path: "data:,")

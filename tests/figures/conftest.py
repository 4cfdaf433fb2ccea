"""Fixtures of the figures' tests: a searched surface, and a check that texts do not overlap."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

sys.path.append(str(Path(__file__).parent))

ROLES = {
    (1.0, 0.0, 0.0): "searched+depth",
    (0.0, 1.0, 0.0): "searched+width",
    (0.0, 0.0, 1.0): "searched+resolution",
}
LATTICE = [(i / 4, j / 4, (4 - i - j) / 4) for i in range(5) for j in range(5 - i)]
PLACES = [
    *((shares, ROLES.get(shares, "searched")) for shares in LATTICE),
    ((1 / 3, 1 / 3, 1 / 3), "uniform"),
    ((0.279, 0.292, 0.429), "paper"),
]


@pytest.fixture(scope="session")
def searched():
    """Make records of seventeen candidates with the highest accuracy at shares (.2, .5, .3).

    All gain alike from epoch to epoch. ``steep``: how much a corner loses. ``stopped``: this many
    of the searched candidates, the last ones, were stopped after the first epoch.
    """

    def records(seeds=3, epochs=(1, 3), noise=0.002, steep=0.3, stopped=0):
        random = np.random.default_rng(0)
        rows = [
            {
                "candidate": f"c{number:02}", "role": role, "seed": seed, "epoch": epoch,
                "depth_share": d, "width_share": w, "resolution_share": r,
                "alpha": 2.0**d, "beta": 2.0 ** (w / 2), "gamma": 2.0 ** (r / 2),
                "asked_alpha": 2.0**d, "asked_beta": 2.0 ** (w / 2), "asked_gamma": 2.0 ** (r / 2),
                "factor": 2.0 + 0.02 * np.sin(number), "macs": 2000 + number,
                "params": round(1000 * (1 + d + w)), "activations": round(500 * (1 + r + d / 2)),
                "accuracy": 0.7 - steep * ((d - 0.2) ** 2 + (w - 0.5) ** 2) - 0.2 / epoch
                + random.normal(0, noise),
                "stopped": "",
            }
            for number, ((d, w, r), role) in enumerate(PLACES)
            for seed in range(seeds)
            for epoch in epochs
        ]  # fmt: skip
        table = pd.DataFrame(rows)
        early = list(table.loc[table["role"] == "searched", "candidate"].unique()[-stopped:])
        gone = table["candidate"].isin(early if stopped else [])
        table.loc[gone, "stopped"] = "halved at epoch 1: place 9 of 15"
        return table[~gone | (table["epoch"] == epochs[0])].reset_index(drop=True)

    return records


@pytest.fixture(scope="session")
def legible():
    """Check that no two level texts of a figure touch and none is cut off; return their number."""

    def check(figure):
        drawn = []
        write = Text.draw

        def recorded(text, renderer):  # a figure has more texts, such as ticks out of sight
            drawn.append(text)
            write(text, renderer)

        with pytest.MonkeyPatch.context() as patch:
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            patch.setattr(Text, "draw", recorded)
            canvas.draw()
        boxes = [
            (text, text.get_window_extent(canvas.get_renderer()))
            for text in dict.fromkeys(drawn)
            if text.get_text().strip() and text.get_visible() and text.get_rotation() in (0, 90)
        ]
        for (one, box), (other, its) in itertools.combinations(boxes, 2):
            assert not box.padded(-0.5).overlaps(its), f"{one.get_text()!r} on {other.get_text()!r}"
        inside = figure.bbox.padded(1)
        for text, box in boxes:
            assert inside.contains(box.x0, box.y0), text.get_text()
            assert inside.contains(box.x1, box.y1), text.get_text()
        return len(boxes)

    return check

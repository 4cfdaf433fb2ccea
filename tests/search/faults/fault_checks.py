"""Checks of a search that has ended, whatever happened to it."""

from pathlib import Path

import pandas as pd
from fault_stage import FINISHED, KILLED, Stage
from fault_trainer import trained

from scalesearch.results.records import KEY, read_records

COLUMNS_OF_TIME = ["seconds", "images_per_second", "tuning_seconds"]


def require_whole(results: Path, undisturbed: pd.DataFrame) -> None:
    """Check that every epoch is trained and recorded once, as in an undisturbed search."""
    records = read_records(results / "records.csv")
    assert not records.duplicated(KEY).any()
    counted = trained(results)
    twice = {run: count for run, count in counted.items() if count != 1}
    assert not twice, f"trained more than once: {twice}"
    recorded = {(row.candidate, row.seed, row.epoch) for row in records.itertuples()}
    assert recorded == set(counted), "trained and not recorded, or recorded and not trained"
    pd.testing.assert_frame_equal(
        records.drop(columns=COLUMNS_OF_TIME), undisturbed.drop(columns=COLUMNS_OF_TIME)
    )


def killed_until_done(
    stage: Stage, results: Path, document: dict, point: str, crossings: int, **life: object
) -> int:
    """Kill a search at this call, before and after it in turn, until it ends; count the kills."""
    for kills in range(200):
        when = ("before", "after")[kills % 2]
        # A life that is killed at once at every start would never end.
        crossing = crossings + kills // 2
        told = stage.live(results=results, document=document, kill=(point, when, crossing), **life)
        if told == FINISHED:
            return kills
        assert told == KILLED, Path(f"{results}.log").read_text()[-3000:]
    raise AssertionError("does not end")

"""Runs with kills until a search is finished, and checks of its records."""

from pathlib import Path

import pandas as pd
from fault_driver import FINISHED, KILLED, DriverRunner
from fault_trainer import count_trained_epochs

from scalesearch.results.records import KEY, read_records

COLUMNS_OF_TIME = ["seconds", "images_per_second", "tuning_seconds"]


def require_complete(results_folder: Path, undisturbed: pd.DataFrame) -> None:
    """Check that every epoch is trained and recorded once, as in an undisturbed search."""
    records = read_records(results_folder / "records.csv")
    assert not records.duplicated(KEY).any()
    epoch_counts = count_trained_epochs(results_folder)
    repeated = {run: count for run, count in epoch_counts.items() if count != 1}
    assert not repeated, f"trained more than once: {repeated}"
    recorded = {(row.candidate, row.seed, row.epoch) for row in records.itertuples()}
    assert recorded == set(epoch_counts), "trained and not recorded, or recorded and not trained"
    pd.testing.assert_frame_equal(
        records.drop(columns=COLUMNS_OF_TIME), undisturbed.drop(columns=COLUMNS_OF_TIME)
    )


def kill_until_finished(
    driver_runner: DriverRunner,
    results_folder: Path,
    document: dict,
    point: str,
    first_call: int,
    **options: object,
) -> int:
    """Kill a search at this call, before and after it in turn, until it ends; count the kills."""
    for kills in range(200):
        moment = ("before", "after")[kills % 2]
        # The number grows: a driver killed at the same early call would never finish.
        call_number = first_call + kills // 2
        status = driver_runner.run_driver(
            results_folder=results_folder,
            document=document,
            kill=(point, moment, call_number),
            **options,
        )
        if status == FINISHED:
            return kills
        assert status == KILLED, Path(f"{results_folder}.log").read_text()[-3000:]
    raise AssertionError("does not end")

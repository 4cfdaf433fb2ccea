"""Records are read back as written, and broken tables are refused."""

import pandas as pd
import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.results.records import (
    COLUMNS,
    read_records,
    records_frame,
    spent_seconds,
    write_records,
)


def rows():
    kinds = {"int64": 3, "float64": 0.1 + 0.2, "str": "0123456789012345"}
    base = {name: kinds[kind] for name, kind in COLUMNS.items()}
    return [{**base, "seed": seed, "epoch": epoch} for seed in (1, 0) for epoch in (2, 1)]


def test_a_written_table_is_read_back_exactly(tmp_path):
    written = records_frame(rows())
    write_records(tmp_path / "records.csv", written)
    pd.testing.assert_frame_equal(read_records(tmp_path / "records.csv"), written, check_exact=True)


def test_rows_are_ordered_by_trial_seed_and_epoch():
    assert records_frame(rows())[["seed", "epoch"]].to_numpy().tolist() == [
        [0, 1],
        [0, 2],
        [1, 1],
        [1, 2],
    ]


def test_the_time_of_a_sweep_is_counted_once():
    of_one = [{**row, "seconds": 2.0, "tuning_seconds": 10.0} for row in rows()]
    of_other = [{**row, "candidate": "ff", "trial": 4, "tuning_seconds": 5.0} for row in of_one]
    assert spent_seconds(records_frame(of_one + of_other)) == 8 * 2.0 + 10.0 + 5.0
    missing = [{**row, "tuning_seconds": float("nan")} for row in of_one]  # as of version 0.1
    assert spent_seconds(records_frame(missing)) == 8.0
    assert spent_seconds(records_frame([])) == 0.0


def test_an_empty_commit_stays_empty(tmp_path):
    write_records(
        tmp_path / "records.csv", records_frame([{**row, "commit": ""} for row in rows()])
    )
    assert set(read_records(tmp_path / "records.csv")["commit"]) == {""}


def test_columns_missing_in_older_tables_are_empty(tmp_path):
    path = tmp_path / "records.csv"
    old = records_frame(rows()).drop(columns=["cell", "stopped", "top5"])
    old.to_csv(path, index=False)
    found = read_records(path)
    assert list(found.columns) == list(COLUMNS)
    assert set(found["cell"]) == set(found["stopped"]) == {""}
    assert found["top5"].isna().all()
    write_records(path, found)
    pd.testing.assert_frame_equal(read_records(path), found, check_exact=True)


def test_rows_without_cell_or_stop_have_empty_ones():
    bare = [{k: v for k, v in row.items() if k not in ("cell", "stopped")} for row in rows()]
    assert set(records_frame(bare)["cell"]) == set(records_frame(bare)["stopped"]) == {""}


def test_texts_that_look_like_numbers_are_read_back_unchanged(tmp_path):
    texts = {"cell": "reference depth; lattice 4-0-0 of 4", "stopped": "nan"}
    write_records(tmp_path / "records.csv", records_frame([{**row, **texts} for row in rows()]))
    found = read_records(tmp_path / "records.csv")
    assert set(found["cell"]) == {texts["cell"]}
    assert set(found["stopped"]) == {"nan"}


def test_an_empty_table_has_every_column(tmp_path):
    write_records(tmp_path / "records.csv", records_frame([]))
    assert list(read_records(tmp_path / "records.csv").columns) == list(COLUMNS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.drop(columns=["macs", "role"]),
        lambda frame: frame.assign(epoch="two"),
        lambda frame: pd.concat([frame, frame]),
    ],
)
def test_a_broken_table_is_refused_with_the_file_and_the_rule(tmp_path, spoil):
    path = tmp_path / "records.csv"
    spoil(records_frame(rows())).to_csv(path, index=False)
    with refused(SearchError):
        read_records(path)


def test_a_missing_table_is_refused(tmp_path):
    with refused(SearchError):
        read_records(tmp_path / "records.csv")


def test_a_file_that_is_not_a_table_is_refused(tmp_path):
    (tmp_path / "records.csv").write_bytes(b"\x00\xff\xfe")
    with refused(SearchError):
        read_records(tmp_path / "records.csv")

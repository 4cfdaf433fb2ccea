"""The table of all recorded runs matches the committed records, and is checked when read."""

import importlib
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from refusals import refused

import scalesearch
from scalesearch.errors import SearchError
from scalesearch.results.records import read_records
from scalesearch.results.scaling_table import COLUMNS, KEY, scaling_table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


@pytest.fixture
def maker(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("scaling_table")


@pytest.fixture(scope="module")
def table():
    return scalesearch.scaling_table()


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="needs git's list of files"
)
def test_the_committed_table_and_sheet_match_the_records(maker):
    for name, text in maker.documents().items():
        committed = (RESULTS / "benchmarks" / name).read_text(encoding="utf-8")
        assert committed == text, f"{name}: run python benchmarks/scaling_table.py"


def test_the_table_has_the_records_of_a_search_to_six_decimals(table):
    records = read_records(RESULTS / "cifar10-lattice" / "records.csv")
    own = table[table["search"] == "cifar10-lattice"].reset_index(drop=True)
    shared = [name for name in COLUMNS if name in records and name != "learning_rate"]
    pd.testing.assert_frame_equal(own[shared], records[shared], rtol=0, atol=1e-3)
    assert (own["accuracy"] - records["accuracy"]).abs().max() < 1e-6
    assert set(own["learning_rate"]) == {0.05}  # of the recipe, where a table does not tell


def test_accuracies_are_counts_of_validation_images(table):
    counted = table["accuracy"] * table["validation_images"]
    assert (counted - counted.round()).abs().max() < 0.01


def test_every_run_has_all_epochs_up_to_its_last(table):
    runs = table.groupby(KEY[:3])["epoch"]
    assert (runs.max() == runs.count()).all()


def test_the_sheet_lists_all_columns_and_searches(table):
    sheet = (RESULTS / "benchmarks" / "scaling_table.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in sheet for name in COLUMNS)
    assert all(f"[{name}](../" in sheet for name in table["search"].unique())
    assert "{" not in sheet  # nothing of the template is left to fill in


def test_a_run_in_two_searches_counts_as_repeated(maker, table):
    once = table[table["search"] == "cifar10-lattice"]
    twice = pd.concat([once, once.iloc[:7].assign(search="again")])
    assert (maker.repeated(once), maker.repeated(twice)) == (0, 7)
    assert maker.slower(once) == 1.0
    assert maker.slower(twice.assign(seconds=[2.0] * len(once) + [5.0] * 7)) == 2.5


def test_noise_is_the_residual_after_network_and_seed(maker):
    (source,) = maker.sources([RESULTS / "cifar10-lattice" / "records.csv"], ROOT)
    last = source.records[source.records["epoch"] == 3]
    grid = last.pivot(index="candidate", columns="seed", values="accuracy").to_numpy()
    left = grid - grid.mean(axis=0) - grid.mean(axis=1, keepdims=True) + grid.mean()
    assert source.noise == pytest.approx(((left**2).sum() / (16 * 2)) ** 0.5)


def test_untracked_records_are_left_out(maker, tmp_path):
    for name in ("ours", "theirs"):
        folder = tmp_path / "results" / name
        shutil.copytree(RESULTS / "cifar10-bayes", folder)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "results/ours"], check=True)
    (source,) = maker.sources(maker.tracked(tmp_path), tmp_path)
    assert source.place == "results/ours"


def written(table, path):
    table.to_csv(path, index=False)
    return path


def test_the_table_is_read_back_as_written(table, tmp_path):
    again = scaling_table(written(table, tmp_path / "copy.csv"))
    pd.testing.assert_frame_equal(again, table, check_exact=True)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("accuracy", 1.5),
        ("depth_share", 2.0),
        ("epoch", 99),
        ("epoch", 2),
        ("macs", 0),
        ("macs", "many"),
        ("loss", None),
        ("loss", float("inf")),
        ("commit", ""),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused_by_name(table, tmp_path, column, value):
    broken = table.iloc[:4].astype({column: object})
    broken.loc[0, column] = value
    with refused(SearchError):
        scaling_table(written(broken, tmp_path / "broken.csv"))


def test_a_table_without_a_row_is_refused(table, tmp_path):
    with refused(SearchError):
        scaling_table(written(table.iloc[:0], tmp_path / "none.csv"))


def test_a_table_without_a_column_or_without_a_file_is_refused(table, tmp_path):
    with refused(SearchError):
        scaling_table(written(table.drop(columns="top5"), tmp_path / "less.csv"))
    with refused(SearchError):
        scaling_table(tmp_path / "nowhere.csv")

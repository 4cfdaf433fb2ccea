"""What samplers save over a grid on recorded runs: costs are counted as they say."""

import hashlib
import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
COMMITTED = RESULTS / "benchmarks" / "bayes_vs_grid.json"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("bayes_vs_grid")


@pytest.fixture
def table(script):
    return script.read_table(RESULTS / "cifar10-lattice")


def test_a_table_has_every_network_in_the_order_of_its_search(table):
    records = pd.read_csv(RESULTS / "cifar10-lattice" / "records.csv", dtype={"candidate": str})
    assert list(table.order) == list(records["candidate"].unique())
    last = records[records["epoch"] == 3].groupby("candidate")["accuracy"].mean()
    assert table.means(table.replay) == pytest.approx(last.to_dict())


def test_what_is_spent_are_all_runs_up_to_the_first_network_that_is_near(script, table):
    means = table.means(table.replay)
    best = max(means, key=means.get)
    near = [name for name, mean in means.items() if mean >= means[best] - script.NEAR]
    far = [name for name in table.order if name not in near]
    found = table.spent([*far[:4], best, *far[4:]], table.replay)
    assert (found["networks"], found["epochs"]) == (5, 5 * 9)
    runs = [run for name in [*far[:4], best] for run in table.replay.runs[name].values()]
    assert found["seconds"] == pytest.approx(sum(row["seconds"] for run in runs for row in run))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_ends_when_it_is_near_and_begins_otherwise_with_another_seed(
    script, table, sampler
):
    found = [script.searched(table, table.replay, sampler, world) for world in range(4)]
    assert found == [script.searched(table, table.replay, sampler, world) for world in range(4)]
    assert len({one["networks"] for one in found}) > 1
    assert all(1 <= one["networks"] <= 17 and one["epochs"] == 9 * one["networks"] for one in found)


def test_random_order_costs_what_chance_says(script, table):
    means = table.means(table.replay)
    near = sum(mean >= max(means.values()) - script.NEAR for mean in means.values())
    found = [script.shuffled(table, table.replay, world)["networks"] for world in range(400)]
    assert np.mean(found) == pytest.approx(18 / (near + 1), abs=0.9)


def test_a_resampled_table_has_the_means_and_noise_on_record(script, table):
    random = np.random.default_rng(0)
    drawn = [script.resampled(table, random) for _ in range(60)]
    values = np.array([[table.means(one)[name] for name in table.order] for one in drawn])
    recorded = np.array([table.means(table.replay)[name] for name in table.order])
    fit = script.additive_model(
        {n: {s: r[2]["accuracy"] for s, r in o.items()} for n, o in table.replay.runs.items()}
    )
    error = (fit.variance / 3) ** 0.5
    assert values.mean(axis=0) == pytest.approx(recorded, abs=4 * error / 60**0.5)
    assert values.std(axis=0).mean() == pytest.approx(error, rel=0.15)
    first = next(iter(table.replay.runs))
    assert drawn[0].runs[first][0][:2] == table.replay.runs[first][0][:2]


def test_intervals_hold_the_mean_and_savings_are_over_random_search(script):
    def searches(*epochs):
        return [{"networks": n, "epochs": n, "seconds": 2.0 * n} for n in epochs]

    one = {"kind": "recorded", "order": "tpe", "searches": searches(4, 5, 6)}
    null = {"kind": "recorded", "order": "random", "searches": searches(9, 10, 11, 10)}
    known = {"table": "t", "networks": 17, "seeds": 3, "epochs": 20, "near": 1}
    found, other = script.rows([{**known, "results": [one, null]}])
    assert (found["epochs_spent"], found["of_grid"], found["saved"]) == (5.0, 0.25, 5.0)
    assert found["saved_low"] < 5 < found["saved_high"] <= 7
    assert 4 <= found["epochs_low"] < 5 < found["epochs_high"] <= 6
    assert (found["seconds_spent"], other["saved"]) == (10.0, 0.0)


def test_the_committed_lines_and_records_are_those_of_the_committed_searches(script):
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    text = pd.DataFrame(script.rows(document["tables"])).to_csv(index=False, float_format="%.5g")
    assert COMMITTED.with_suffix(".csv").read_text(encoding="utf-8") == text
    for table in document["tables"]:
        records = (RESULTS / table["table"] / "records.csv").read_bytes()
        assert table["digest"] == hashlib.sha256(records).hexdigest()[:16], (
            f"{table['table']}: run python benchmarks/bayes_vs_grid.py"
        )


@pytest.mark.slow
def test_what_was_searched_before_is_not_searched_again(script, tmp_path, monkeypatch, capsys):
    folder, out = tmp_path / "results" / "cifar10-lattice", tmp_path / "out"
    folder.mkdir(parents=True)
    for name in ("records.csv", "experiment.yaml"):
        (folder / name).write_bytes((RESULTS / "cifar10-lattice" / name).read_bytes())
    monkeypatch.setattr(script, "SAMPLERS", ("random",))
    asked = ["x", "--results", str(folder.parent), "--out", str(out), "--seeds", "2"]
    for _ in range(2):
        monkeypatch.setattr("sys.argv", asked)
        script.main()
    assert capsys.readouterr().err.count("recorded: random") == 1
    assert {path.suffix for path in out.iterdir()} == {".csv", ".json", ".png", ".svg"}

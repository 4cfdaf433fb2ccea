"""Settings compared, a surface from records, and the command."""

import dataclasses
import json
import sys

import pandas as pd
import pytest
from refusals import refused

from scalesearch.cli import main
from scalesearch.errors import SearchError
from scalesearch.io import to_document
from scalesearch.results.records import write_records
from scalesearch.simulation.comparison import (
    EXHAUSTIVE,
    compare_settings,
    exhaustive_epochs,
    experiments_by_sampler,
    random_search_of_equal_cost,
    surfaces_from_names,
)
from scalesearch.simulation.recorded_runs import recorded_surface
from scalesearch.simulation.simulated_search import make_ground_truth, simulate_search
from scalesearch.simulation.surfaces import SURFACES, SimulatedNoise, SurfacePoint


def test_a_comparison_has_the_grid_and_each_setting_on_each_surface(experiment):
    settings = experiments_by_sampler(experiment(sampler="lattice"), ["lattice", "random"])
    found = compare_settings(settings, surfaces_from_names("corner,flat"), workers=8, seeds=2)
    assert [(one.surface, one.setting) for one in found] == [
        (surface, setting)
        for surface in ("corner", "flat")
        for setting in (EXHAUSTIVE, "lattice", "random")
    ]
    for one in found:
        assert len(one.regrets) == 2
        assert one.regret == pytest.approx(sum(one.regrets) / 2)
        assert 0 <= one.regret <= one.regret_90 + 1e-12
        assert 0 < one.share <= 1
    again = compare_settings(settings, surfaces_from_names("corner"), workers=8, seeds=2)
    assert found[:3] == again


def test_an_exhaustive_grid_without_noise_misses_nothing(experiment):
    quiet = dataclasses.replace(SURFACES["two-peaked"], noise=SimulatedNoise(seed=0.0, run=0.0))
    grid, ours = compare_settings({"lattice": experiment()}, [quiet], seeds=2)
    assert grid.regret == 0 < ours.regret
    assert grid.share == 1


def test_random_search_is_given_as_many_epochs(experiment):
    ours = simulate_search(experiment(), SURFACES["edge"], 8)
    theirs = simulate_search(
        random_search_of_equal_cost(experiment(), ours.epochs), SURFACES["edge"], 8
    )
    assert abs(theirs.epochs - ours.epochs) <= 27 / 2
    assert {len(trial.rows) for trial in theirs.trials} == {27}


def test_an_exhaustive_grid_trains_all_with_all_seeds(experiment):
    assert exhaustive_epochs(make_ground_truth(experiment(), SURFACES["flat"])) == 162 * 27


@pytest.mark.slow
def test_the_default_search_comes_near_the_best_for_a_twentieth_of_the_epochs(experiment):
    _, ours = compare_settings({"default": experiment()}, [SURFACES["corner"]], seeds=10)
    assert ours.regret < 0.003
    assert ours.share < 0.05
    assert ours.gain > 2 * ours.gain_error


@pytest.mark.parametrize(
    "names",
    ["plain", "x.csv"],
)
def test_surfaces_that_are_not_there_are_refused(names):
    with refused(SearchError):
        surfaces_from_names(names)


def test_samplers_that_need_more_than_a_name_are_refused(experiment):
    with refused(SearchError):
        experiments_by_sampler(experiment(), ["tpe", "nsga2"])


@pytest.fixture
def table(experiment, tmp_path):
    """Records of six candidates after three epochs, and the search that made them."""
    spec = experiment(3, sampler="lattice", step=2, pruner="none", race=None)
    found = simulate_search(spec, SURFACES["edge"], 4)
    path = tmp_path / "real" / "records.csv"
    path.parent.mkdir()
    write_records(path, found.records)
    return path, found


def test_a_recorded_surface_has_the_means_of_its_records(table):
    path, found = table
    surface = recorded_surface(path)
    assert (surface.name, surface.epochs) == ("real", 3)
    means = found.records.groupby(["candidate", "epoch"])["accuracy"].mean()
    for trial in found.trials:
        point = SurfacePoint(trial.candidate, trial.shares)
        for epoch in (1, 2, 3):
            assert surface.accuracy(point, epoch) == pytest.approx(means[trial.candidate, epoch])
        assert surface.accuracy(point, 9) == surface.accuracy(point, 3)


def test_between_records_a_surface_is_between_them(table):
    path, found = table
    surface = recorded_surface(path)
    last = found.records[found.records["epoch"] == 3].groupby("candidate")["accuracy"].mean()
    for name, point in found.ground.points.items():
        assert last.min() <= surface.accuracy(point, 3) <= last.max()
        assert surface.seconds(point) > 0
        assert surface.deviation(point, 0, 3, 1) != surface.deviation(point, 1, 3, 1), name


def test_too_small_a_table_is_no_surface(table, tmp_path):
    path, found = table
    few = tmp_path / "few.csv"
    write_records(few, found.records[found.records["seed"] == 0])
    with refused(SearchError):
        recorded_surface(few)
    assert path.exists()


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, arguments)])
    output = capsys.readouterr()
    return stopped.value.code, output.out, output.err


@pytest.fixture
def file(experiment, tmp_path):
    import yaml

    path = tmp_path / "simulated.yaml"
    path.write_text(yaml.safe_dump(to_document(experiment())), encoding="utf-8")
    return path


def test_the_command_compares_and_writes_files(file, tmp_path, capsys):
    out = tmp_path / "out"
    code, output, err = run(
        capsys,
        "simulate",
        file,
        *("--surface", "corner", "--seeds", 2, "--workers", 4, "--also", "search.step=3"),
        *("--json", "--out", out),
    )
    assert code == 0, err
    rows = json.loads(output)["rows"]
    assert [row["setting"] for row in rows] == [EXHAUSTIVE, "lattice", "search.step=3"]
    assert rows[2]["epochs"] < rows[1]["epochs"]
    assert json.loads((out / "simulated.json").read_text())["rows"] == rows
    assert list(pd.read_csv(out / "simulated.csv")["setting"]) == [row["setting"] for row in rows]
    assert (out / "simulated.png").stat().st_size > 1000
    assert "matplotlib.pyplot" not in sys.modules


def test_the_command_takes_a_results_table(file, table, capsys):
    code, output, _ = run(capsys, "simulate", file, "--surface", table[0], "--seeds", 1)
    assert code == 0
    assert "real" in output
    assert EXHAUSTIVE in output


def test_the_command_refuses_an_unknown_surface(file, capsys):
    code, _, err = run(capsys, "simulate", file, "--surface", "plain")
    assert code == 2
    assert "--surface: need all" in err

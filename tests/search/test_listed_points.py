"""Networks that are listed one by one are trained as they are, once each."""

import pytest
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.iso_cost import iso_cost_set
from scalesearch.config.reading import experiment_from_document
from scalesearch.config.search_spec import PointSpec, SearchSpec
from scalesearch.deploy.network_references import network_from_reference
from scalesearch.errors import ExperimentError, SearchError
from scalesearch.reporting.status import search_status
from scalesearch.reporting.update import write_results
from scalesearch.results.records import read_records
from scalesearch.search.candidate_source import trials_of_points
from scalesearch.search.design import EVEN_SHARES
from scalesearch.search.driver import run_search

PROXY = efficientnet_b0(width=0.25, resolution=32, stem_stride=1, num_classes=10)
LISTED = {"sampler": "points", "references": [], "pruner": "none", "race": None}


def test_multipliers_give_the_network_whatever_it_costs_and_all_of_one_the_baseline():
    points = (PointSpec(name="base"), PointSpec(name="wide", width=2.0))
    _, (base, wide) = trials_of_points(points, PROXY, Budget())
    assert base.candidate.architecture == PROXY
    assert (base.candidate.factor, base.candidate.shares) == (1.0, EVEN_SHARES)
    assert base.deviations == {"base": 0.0}
    assert wide.candidate.factor > 2.5
    assert wide.candidate.shares.as_tuple() == (0.0, 1.0, 0.0)


def test_cost_and_direction_give_a_network_that_really_costs_so():
    point = PointSpec(name="deep x4", factor=4.0, shares=(1.0, 0.0, 0.0), role="depth")
    _, (trial,) = trials_of_points([point], PROXY, Budget())
    assert cost(trial.candidate.architecture).macs == pytest.approx(4 * cost(PROXY).macs, rel=0.02)
    assert trial.candidate.shares.depth > 0.9
    assert trial.role == "depth"


def test_a_fingerprint_gives_that_very_candidate():
    candidate = iso_cost_set(PROXY, Budget())[40]
    _, (trial,) = trials_of_points(
        [PointSpec(name="x", candidate=candidate.fingerprint)], PROXY, Budget()
    )
    assert trial.candidate == candidate
    with refused(SearchError):
        trials_of_points([PointSpec(name="x", candidate="zzz")], PROXY, Budget())


def test_points_that_are_one_network_are_one_candidate():
    points = [PointSpec(name="one", depth=2.0), PointSpec(name="other", depth=2.0000001)]
    space, (trial,) = trials_of_points(points, PROXY, Budget())
    assert [cell.name for cell in trial.cells] == ["one", "other"]
    assert space.candidates == (trial.candidate,)


@pytest.mark.parametrize(
    "point",
    [
        {"name": "a; b"},
        {"name": "a", "depth": 0},
        {"name": "a", "depth": 2, "width": 0.5},
        {"name": "a", "factor": 2},
        {"name": "a", "factor": 2, "shares": [1, 1, 0]},
        {"name": "a", "width": 2, "candidate": "ab"},
    ],
)
def test_a_point_that_is_no_network_is_refused(point):
    with refused(ExperimentError):
        experiment_from_document({"name": "x", "search": {**LISTED, "points": [point]}})


@pytest.mark.parametrize(
    "options",
    [
        {"points": ()},
        {"points": (PointSpec(name="a"), PointSpec(name="a"))},
        {"references": ("depth",)},
        {"pruner": "halving"},
        {"race": 2},
        {"sampler": "lattice"},
    ],
)
def test_points_are_listed_whole_and_for_their_sampler_alone(options):
    settings = {**LISTED, "references": (), "points": (PointSpec(name="a"),)}
    with refused(ValueError):
        SearchSpec(**{**settings, **options})


def test_a_search_of_points_trains_each_once_and_has_no_coefficients(tiny, tmp_path, untrained):
    points = [
        {"name": "base"},
        {"name": "wide", "width": 1.4},
        {"name": "wide again", "width": 1.4},
        {"name": "matched", "factor": 2, "shares": [0, 1, 0]},
    ]
    experiment = tiny(**LISTED, points=points, seeds=2)
    records = run_search(experiment, tmp_path / "r")
    assert records.groupby("candidate")["cell"].first().tolist().count("wide; wide again") == 1
    assert len(records.groupby(["candidate", "seed"])) == 6
    assert set(records.loc[records["cell"] == "base", "factor"]) == {1.0}
    assert search_status(tmp_path / "r").driver.state == "ended"
    name = str(records.loc[records["cell"] == "matched", "candidate"].iloc[0])
    assert network_from_reference(f"{tmp_path / 'r'}:{name}").name == name
    with refused(SearchError):
        write_results(tmp_path / "r")


def test_a_search_of_points_resumes_from_its_records_alone(tiny, tmp_path, untrained):
    experiment = tiny(**LISTED, points=[{"name": "base"}, {"name": "deep", "depth": 2}], seeds=2)
    records = run_search(experiment, tmp_path / "r")
    (tmp_path / "r" / "study.db").unlink()
    resumed = run_search(experiment, tmp_path / "r")
    assert resumed.equals(records)
    assert resumed.equals(read_records(tmp_path / "r" / "records.csv"))

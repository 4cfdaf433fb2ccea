import json
import math
import random
import warnings

import pytest
import yaml
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint, from_json
from scalesearch.architectures.scaled import scale
from scalesearch.candidates.budget import Budget, CostLimits
from scalesearch.candidates.iso_cost import StuckAxisWarning, iso_cost_set, nearest_candidate
from scalesearch.candidates.nearest import nearest_on_budget
from scalesearch.errors import ArchitectureError, ExperimentError, ExportError
from scalesearch.families.members import family, family_document, member_rows, write_family
from scalesearch.families.origin import parse_phis, read_family_source
from scalesearch.models.fvcore_count import fvcore_macs
from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
from scalesearch.scaling.published import PAPER_COEFFICIENTS, SCHEMES
from scalesearch.scaling.rounding import ROUNDINGS

B0 = efficientnet_b0()
PROXY = efficientnet_b0(width=0.25, resolution=32, stem_stride=1, num_classes=10)
SMALL = efficientnet_b0(width=0.25, depth=0.5, resolution=16, stem_stride=1, num_classes=10)


@pytest.fixture(scope="module")
def document():
    return family_document(PAPER_COEFFICIENTS, PROXY, phis=(0, 0.5, 1))


def test_the_published_family_is_the_table():
    members = family(PAPER_COEFFICIENTS, B0, mode="published")
    assert [member.name for member in members] == [f"b{i}" for i in range(8)]
    resolutions = [member.architecture.resolution for member in members]
    assert resolutions == [224, 240, 260, 300, 380, 456, 528, 600]
    assert [member.dropout for member in members] == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]
    assert {member.drop_connect for member in members} == {0.2}
    assert members[7].cost.macs == 37_745_884_192


def test_a_published_member_bears_the_phi_that_its_compute_implies():
    phis = [member.phi for member in family(PAPER_COEFFICIENTS, B0, mode="published")]
    assert phis == pytest.approx([0, 0.36, 1.03, 1.97, 3.55, 4.83, 5.90, 6.88], abs=0.01)


def test_an_exact_member_is_the_baseline_scaled_by_the_powers():
    (member,) = family(PAPER_COEFFICIENTS, B0, mode="exact", phis=[3], rounding="nearest")
    asked = Multipliers(1.2**3, 1.1**3, 1.15**3)
    assert member.multipliers == asked
    assert member.architecture == scale(B0, asked, ROUNDINGS["nearest"])
    assert member.factor == cost(member.architecture).macs / cost(B0).macs


@pytest.mark.parametrize("mode", ["exact", "matched", "published"])
@pytest.mark.parametrize("baseline", [B0, PROXY, SMALL])
def test_phi_zero_is_the_baseline(mode, baseline):
    (member,) = family(PAPER_COEFFICIENTS, baseline, mode=mode, phis=[0])
    assert member.architecture == baseline
    assert (member.name, member.phi, member.factor) == ("b0", 0, 1)


@pytest.mark.parametrize("baseline", [B0, PROXY])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_matched_members_cost_what_they_say(baseline, rounding):
    phis = (-1, 1, 2, 4, 7)
    for member in family(PAPER_COEFFICIENTS, baseline, phis=phis, rounding=rounding):
        assert member.factor == pytest.approx(2**member.phi, rel=0.02)
        assert member.cost == cost(member.architecture)


@pytest.mark.parametrize("phi", [3, 5, 7])
def test_large_matched_members_keep_the_direction(phi):
    (member,) = family(PAPER_COEFFICIENTS, B0, phis=[phi])
    assert member.deviation < 0.01
    assert member.deviation == member.multipliers.shares.distance(PAPER_COEFFICIENTS.shares)


@pytest.mark.parametrize(
    ("baseline", "factor", "rounding"),
    [(PROXY, 2, "even"), (PROXY, 0.5, "official"), (SMALL, 4, "official"), (SMALL, 6, "even")],
)
def test_the_nearest_network_is_that_of_the_whole_isocost_set(baseline, factor, rounding):
    budget = Budget(factor=factor, rounding=rounding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StuckAxisWarning)
        candidates = iso_cost_set(baseline, budget)
    chance = random.Random(0)
    for _ in range(25):
        low, high = sorted(chance.choice((0, 1, chance.random())) for _ in range(2))
        shares = Shares(low, high - low, 1 - high)
        found, nearest = (
            nearest_on_budget(baseline, shares, budget),
            nearest_candidate(candidates, shares),
        )
        assert found.shares.distance(shares) == pytest.approx(nearest.shares.distance(shares))
        assert found.fingerprint == fingerprint(found.architecture)
        assert budget.is_met_by(found.factor)


def test_the_nearest_network_keeps_to_the_limits_of_its_budget():
    free = Budget(factor=4)
    bound = Budget(factor=4, limits=CostLimits(params=2.1), max_resolution=44)
    (loose, tight) = (
        nearest_on_budget(PROXY, PAPER_COEFFICIENTS.shares, budget) for budget in (free, bound)
    )
    assert loose.cost.params > 2.1 * cost(PROXY).params
    assert loose.architecture.resolution > 44
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StuckAxisWarning)
        candidates = iso_cost_set(PROXY, bound)
    assert tight.fingerprint == nearest_candidate(candidates, PAPER_COEFFICIENTS.shares).fingerprint


def test_a_family_may_round_by_a_rule_of_its_own():
    rule = {"profile": "even", "divisor": 4}
    document = family_document(PAPER_COEFFICIENTS, PROXY, phis=[1], rounding=rule)
    assert document["rounding"] == rule
    network = from_json(document["members"][0]["architecture"])
    assert any(width % 8 for width in network.widths)


def test_a_factor_within_the_tolerance_of_one_is_the_baseline():
    (member,) = family(PAPER_COEFFICIENTS, B0, phis=[0.02])
    assert member.architecture == B0


def test_coefficients_that_shrink_an_axis_are_followed():
    (member,) = family(Coefficients(0.8, 1.4, 1.2), B0, phis=[2])
    assert member.multipliers.depth < 0.75
    assert member.factor == pytest.approx(4, rel=0.02)


def test_members_between_whole_phis_say_so_in_their_name():
    members = family(PAPER_COEFFICIENTS, B0, mode="exact", phis=[-1, 0.5, 2])
    assert [member.name for member in members] == ["b-1", "b0.5", "b2"]


def test_dropout_grows_linearly_from_b0_to_b7_and_no_further():
    members = family(PAPER_COEFFICIENTS, B0, mode="exact", phis=[-1, 0, 3.5, 7, 8])
    assert [member.dropout for member in members] == [0.2, 0.2, 0.35, 0.5, 0.5]


@pytest.mark.parametrize(
    "asked",
    [
        {"mode": "guessed"},
        {"rounding": "odd"},
        {"factor": 0.5},
        {"phis": [math.nan]},
        {"phis": [-15]},
        {"mode": "published", "phis": [0.5]},
        {"mode": "published", "coefficients": Coefficients(1.3, 1.1, 1.1)},
        {"coefficients": Coefficients(0.9, 1.0, 1.0)},
    ],
)
def test_what_cannot_be_had_is_refused_by_its_rule(asked):
    asked = dict(asked)
    with refused(ArchitectureError):
        family(asked.pop("coefficients", PAPER_COEFFICIENTS), PROXY, **asked)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_fvcore_counts_what_we_count(number):
    (member,) = family(PAPER_COEFFICIENTS, B0, mode="published", phis=[number])
    assert fvcore_macs(member.architecture) == member.cost.macs


@pytest.mark.slow
@pytest.mark.parametrize("number", [5, 6, 7])
def test_fvcore_counts_what_we_count_in_the_large_ones(number):
    (member,) = family(PAPER_COEFFICIENTS, B0, mode="published", phis=[number])
    assert fvcore_macs(member.architecture) == member.cost.macs


def test_rows_are_flat_and_show_both_counts():
    (row,) = member_rows(family(PAPER_COEFFICIENTS, PROXY, phis=[1]))
    assert list(row) == [
        "name",
        "phi",
        "depth",
        "width",
        "resolution",
        "dropout",
        "drop_connect",
        "macs",
        "params",
        "activations",
        "factor",
        "deviation",
        "fvcore_macs",
    ]
    assert row["fvcore_macs"] == row["macs"]


def test_a_document_holds_whole_networks(document):
    assert [member["name"] for member in document["members"]] == ["b0", "b0.5", "b1"]
    for member in document["members"]:
        network = from_json(member["architecture"])
        assert cost(network).macs == member["macs"]
        assert fingerprint(network) == member["fingerprint"]
    assert from_json(document["baseline"]) == PROXY
    assert document["rounding"] == "even"


def test_what_is_written_reads_back(document, tmp_path):
    as_json = write_family(tmp_path / "new" / "family.json", document)
    as_yaml = write_family(tmp_path / "family.yaml", document)
    assert json.loads(as_json.read_text()) == document
    assert yaml.safe_load(as_yaml.read_text()) == document


def test_files_that_cannot_be_written_are_named(document, tmp_path):
    with refused(ExportError):
        write_family(tmp_path / "family.txt", document)
    (tmp_path / "file").write_text("")
    with refused(ExportError):
        write_family(tmp_path / "file" / "family.json", document)


def test_a_source_is_the_paper_or_three_numbers():
    assert read_family_source("published").mode == "published"
    origin = read_family_source("1.3, 1.1,1.05")
    assert (origin.coefficients, origin.mode) == (Coefficients(1.3, 1.1, 1.05), "matched")
    assert origin.baseline == B0


def test_a_source_file_brings_its_own_baseline_and_budget(tmp_path):
    path = tmp_path / "coefficients.json"
    baseline = {
        "name": "efficientnet_b0",
        "width": 0.25,
        "depth": 1.0,
        "resolution": 32,
        "stem_stride": 1,
        "in_channels": None,
        "num_classes": 10,
    }
    found = {"alpha": 1.2, "beta": 1.1, "gamma": 1.0, "baseline": baseline}
    path.write_text(json.dumps({**found, "budget": {"factor": 3.0, "rounding": "nearest"}}))
    origin = read_family_source(str(path))
    assert origin.baseline == PROXY
    assert origin.coefficients == Coefficients(1.2, 1.1, 1.0)
    assert (origin.factor, origin.rounding, origin.mode) == (3.0, ROUNDINGS["nearest"], "matched")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '{"alpha": 1.2, "beta": 1.1}',
        '{"alpha": true, "beta": 1.1, "gamma": 1}',
        '{"alpha": -1, "beta": 1.1, "gamma": 1}',
        '{"alpha": 1, "beta": 2, "gamma": 1, "baseline": {"wide": 2}}',
        '{"alpha": 1, "beta": 2, "gamma": 1, "budget": {"rounding": "x"}}',
        '{"alpha": 1, "beta": 2, "gamma": 1, "baseline": {"name": "b9"}}',
        '{"alpha": 1, "beta": 2, "gamma": 1, "baseline": {"resolution": 0}}',
        '{"alpha": 1, "beta": 2, "gamma": 1, "baseline": {"width": "x"}}',
    ],
)
def test_a_bad_source_file_is_refused_by_its_rule(tmp_path, text):
    path = tmp_path / "coefficients.json"
    path.write_text(text)
    with refused((ExperimentError, ArchitectureError)):
        read_family_source(str(path))


@pytest.mark.parametrize("source", ["1.2,1.1", "1,2,x", "1.2,1.1,1.1,1", "0,1,1", "nowhere.json"])
def test_a_source_that_is_none_of_the_three_is_refused(source):
    with pytest.raises(ExperimentError):
        read_family_source(source)


def test_phis_are_a_range_or_a_list():
    assert parse_phis("0..3") == (0, 1, 2, 3)
    assert parse_phis("-1..1") == (-1, 0, 1)
    assert parse_phis("0,0.5,1") == (0, 0.5, 1)
    for text in ("3..0", "a..b", "", "1,,2"):
        with refused(ExperimentError):
            parse_phis(text)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_known_scheme_is_a_source(scheme):
    origin = read_family_source(scheme)
    assert origin.coefficients == SCHEMES[scheme].coefficients(2.0)
    assert origin.mode == "matched"

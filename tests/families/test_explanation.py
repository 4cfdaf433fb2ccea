import json

import pytest

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.families.explanation import explain
from scalesearch.scaling.coefficients import Coefficients


@pytest.fixture(scope="module")
def explained():
    return explain(whole_phis=range(4))


def named(rows, name):
    return next(row for row in rows if row["name"] == name)


def test_it_is_a_json_document(explained):
    assert json.loads(json.dumps(explained, allow_nan=False)) == explained
    assert explained["schema"] == "scalesearch/explanation"


def test_the_papers_coefficients_realise_2_57_times_b0(explained):
    assert explained["nominal_factor"] == pytest.approx(1.920, abs=5e-4)
    assert explained["realised_factor"] == pytest.approx(2.57, abs=0.005)
    assert (
        "The coefficients (1.2, 1.1, 1.15) ask for 1.92x the baseline's cost and, rounded to a "
        "whole network, realise 2.57x."
    ) in explained["words"]


def test_b2_is_phi_one_except_for_resolution(explained):
    assert named(explained["twins"], "b2") == {
        "name": "b2",
        "phi": 1,
        "differences": [{"part": "resolution", "published": 260, "exact": 258}],
    }
    assert "B2 is phi = 1 except for resolution (260, not 258)." in explained["words"]


def test_b3_is_phi_two_except_for_resolution_and_the_heads_width(explained):
    assert named(explained["twins"], "b3")["phi"] == 2
    assert named(explained["twins"], "b3")["differences"] == [
        {"part": "resolution", "published": 300, "exact": 296},
        {"part": "head width", "published": 1536, "exact": 1552},
    ]
    assert (
        "B3 is phi = 2 except for resolution (300, not 296) and the head's width (1536, not 1552)."
    ) in explained["words"]


def test_no_other_member_is_called_a_whole_phi(explained):
    assert [line[:2] for line in explained["words"] if " is phi = " in line] == ["B2", "B3"]


def test_alpha_from_one_to_a_quarter_more_is_one_depth(explained):
    own, first, second, *_ = explained["depths"]
    assert (own["up_to"], own["repeats"]) == (1.0, [1, 2, 2, 3, 3, 4, 1])
    assert (first["above"], first["up_to"]) == (1.0, 1.25)
    assert first["repeats"] == [2, 3, 3, 4, 4, 5, 2]
    assert second["above"] == 1.25
    assert any("Every alpha in (1, 1.25] is one depth: 23 blocks" in w for w in explained["words"])


def test_depths_join_without_a_gap(explained):
    depths = explained["depths"]
    assert [d["up_to"] for d in depths[:-1]] == [d["above"] for d in depths[1:]]


def test_int_in_place_of_ceil_leaves_b1_as_deep_as_b0(explained):
    truncated, deep = explained["mistakes"]
    assert truncated["int_repeats"] == [1, 2, 2, 3, 3, 4, 1]
    assert truncated["ceil_repeats"] == [2, 3, 3, 4, 4, 5, 2]
    assert truncated["unchanged"]
    assert (deep["blocks"], deep["own_blocks"], deep["realised"]) == (23, 16, 1.4375)
    assert any("exactly as deep as B0" in line for line in explained["words"])
    assert any("23 blocks for 16 are 1.44 times as deep" in line for line in explained["words"])


def test_matched_members_cost_what_is_asked_and_exact_ones_more(explained):
    matched, exact = (explained["families"][mode] for mode in ("matched", "exact"))
    assert [row["nominal_factor"] for row in matched] == [1, 2, 4, 8]
    assert all(abs(row["excess"]) <= 0.02 for row in matched)
    assert all(row["excess"] > 0.1 for row in exact[1:])


@pytest.mark.parametrize(
    ("name", "phis"),
    [("b1", (0.52, 0, 0.49)), ("b4", (3.2, 3.5, 3.8)), ("b7", (6.2, 7.3, 7.05))],
)
def test_each_axis_implies_its_own_phi(explained, name, phis):
    row = named(explained["families"]["published"], name)
    assert tuple(row["implied_phi"].values()) == pytest.approx(phis, abs=0.05)


def test_what_rounding_moved_is_told_stage_by_stage(explained):
    b1 = named(explained["rounding"], "b1")
    assert (b1["asked_depth"], b1["depth"]) == (1.1, 1.4375)
    assert b1["parts"][1] == {
        "part": "stage 1",
        "asked_channels": 16,
        "channels": 16,
        "asked_blocks": pytest.approx(1.1),
        "blocks": 2,
    }
    b2 = named(explained["rounding"], "b2")
    assert b2["parts"][-1] == {
        "part": "head", "asked_channels": pytest.approx(1408), "channels": 1408
    }  # fmt: skip


def test_one_pixel_more_than_32_more_than_doubles_the_cost(explained):
    at_224, at_32, stride_1 = explained["resolutions"]
    assert [cliff["pixels"] for cliff in at_224["cliffs"]] == [225, 257, 289, 321]
    assert [cliff["pixels"] for cliff in at_32["cliffs"]] == [33]
    assert at_32["cliffs"][0]["times"] == pytest.approx(2.23, abs=0.01)
    assert stride_1["cliffs"][0]["times"] == pytest.approx(1.62, abs=0.01)
    assert at_224["factors"][0] == 1


def test_coefficients_that_leave_an_axis_alone_imply_no_phi_there():
    document = explain(Coefficients(1, 1.2, 1.2), whole_phis=range(2))
    b7 = named(document["families"]["published"], "b7")
    assert b7["implied_phi"]["depth"] is None
    assert not any("None" in line for line in document["words"])


def test_a_small_proxy_is_explained_too():
    proxy = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)
    document = explain(baseline=proxy, whole_phis=range(2))
    assert [curve["name"] for curve in document["resolutions"]] == ["32 px"]
    assert document["words"]

"""The page's triangle shows the same data as the figure."""

import re

import numpy as np
import pytest

from scalesearch.reporting.report_data import read_report_data
from scalesearch.reporting.report_figures import triangle_data
from scalesearch.reporting.ternary_svg import HEIGHT, SIDE, clip_polygon, ternary_svg, to_xy


def area(path):
    """Of all polygons of a path."""
    total = 0.0
    for polygon in re.findall(r"M([^Mz]*)z", path):
        places = np.array([[float(n) for n in corner.split()] for corner in polygon.split("L")])
        x, y = places.T
        total += abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    return total


@pytest.fixture(scope="module")
def report(report_folder):
    return read_report_data(report_folder)


@pytest.fixture(scope="module")
def svg(report):
    return ternary_svg(report, triangle_data(report))


def test_each_corner_spends_all_on_one_axis():
    depth, width, resolution = (to_xy(shares) for shares in np.eye(3))
    assert depth[0] < resolution[0] < width[0]
    assert depth[1] == width[1] > resolution[1]
    assert resolution[0] - depth[0] == pytest.approx(SIDE / 2)


def test_the_colours_cover_the_triangle_once(svg):
    assert sum(area(path) for _, path in svg.bands) == pytest.approx(SIDE * HEIGHT / 2, rel=0.01)
    assert len({colour for colour, _ in svg.bands}) == len(svg.bands)


def test_the_flat_area_has_the_reported_size(svg, report):
    part = area(svg.flat) / (SIDE * HEIGHT / 2)
    assert 0 < part < 1
    assert part == pytest.approx(report.conclusion.optimum.equivalent_fraction, abs=0.03)
    assert svg.border


def test_every_candidate_has_a_mark_with_facts(svg, report):
    assert {mark.candidate for mark in svg.marks} == {one.candidate for one in report.results}
    first, best = svg.marks[0], report.results[0]
    assert first.candidate == best.candidate
    shown = dict(first.facts)
    assert shown["accuracy"] == f"{best.accuracy:.4f} ± {best.standard_error:.4f}"
    assert shown["cost"] == f"{best.factor:.3f} times the baseline's"
    assert (first.x, first.y) == to_xy(best.shares.as_tuple())
    assert len(svg.stopped) == 2


def test_references_lie_in_front(svg):
    kinds = [mark.reference for mark in svg.marks]
    assert kinds == sorted(kinds)
    assert {name for mark in svg.marks for name in mark.references} == {
        "depth", "width", "resolution", "uniform", "paper"
    }  # fmt: skip


def test_a_polygon_is_clipped_by_its_values():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    values = square[:, 0]
    kept = np.array(clip_polygon(square, values, 0.25, 0.5))
    assert kept[:, 0].min() == pytest.approx(0.25)
    assert kept[:, 0].max() == pytest.approx(0.5)
    assert len(clip_polygon(square, values, -np.inf, np.inf)) == 4
    assert clip_polygon(square, values, 2.0, 3.0) == []

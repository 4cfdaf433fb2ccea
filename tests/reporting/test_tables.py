from scalesearch.analysis.optimum import Interval
from scalesearch.reporting.report_data import read_report_data
from scalesearch.reporting.tables import (
    TableCell,
    candidates_table,
    comparisons_table,
    failures_table,
    interval_cell,
    references_table,
    report_table,
    stopped_table,
)


def test_a_cell_has_a_text_and_a_sort_key():
    rows = [{"a": 1234.5, "b": "x"}, {"a": None, "b": "y"}]
    columns = (("a", lambda row: row["a"], ",.0f"), ("b", lambda row: row["b"], "text"))
    made = report_table("key", "title", columns, rows)
    assert made.rows[0] == (TableCell("1,234", 1234.5), TableCell("x", "x"))
    assert made.rows[1][0] == TableCell("-", None)
    assert made.numeric == (True, False)


def test_an_interval_is_sorted_by_its_value():
    assert interval_cell(Interval(0.5, 0.25, 0.75)) == TableCell("0.50 [0.25, 0.75]", 0.5)
    assert interval_cell(None) is None


def test_tables_have_the_values_of_the_records(report_folder):
    report = read_report_data(report_folder)
    listed = candidates_table(report)
    assert len(listed.rows) == 15
    assert listed.marks[0] == report.results[0].candidate
    accuracies = [row[listed.columns.index("accuracy")].value for row in listed.rows]
    assert accuracies == sorted(accuracies, reverse=True)
    alike = [row[listed.columns.index("as good")].text for row in listed.rows]
    flat = report.conclusion.optimum.equivalent_candidates
    assert alike == ["yes" if name in flat else "no" for name in listed.marks]
    assert len(stopped_table(report).rows) == 2
    assert failures_table(report).note == "out of memory: 1"
    named = {row[0].text for row in references_table(report).rows}
    assert named == {"depth", "width", "resolution", "uniform", "paper"}


def test_comparisons_are_in_points_of_accuracy(report_folder):
    report = read_report_data(report_folder)
    listed = comparisons_table(report)
    for row, one in zip(listed.rows, report.conclusion.comparisons, strict=True):
        assert row[0].text == one.reference
        assert row[listed.columns.index("difference, points")].value == 100 * one.difference

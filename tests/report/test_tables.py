from scalesearch.analysis.optimum import Interval
from scalesearch.report.facts import read_facts
from scalesearch.report.listings import candidates, comparisons, failures, references, stopped
from scalesearch.report.tables import Cell, interval, table


def test_a_cell_says_one_thing_and_is_sorted_by_another():
    rows = [{"a": 1234.5, "b": "x"}, {"a": None, "b": "y"}]
    columns = (("a", lambda row: row["a"], ",.0f"), ("b", lambda row: row["b"], "text"))
    made = table("key", "title", columns, rows)
    assert made.rows[0] == (Cell("1,234", 1234.5), Cell("x", "x"))
    assert made.rows[1][0] == Cell("-", None)
    assert made.numeric == (True, False)


def test_an_interval_is_sorted_by_its_value():
    assert interval(Interval(0.5, 0.25, 0.75)) == Cell("0.50 [0.25, 0.75]", 0.5)
    assert interval(None) is None


def test_lists_are_of_the_records(told):
    facts = read_facts(told)
    listed = candidates(facts)
    assert len(listed.rows) == 15
    assert listed.marks[0] == facts.results[0].candidate
    accuracies = [row[listed.columns.index("accuracy")].value for row in listed.rows]
    assert accuracies == sorted(accuracies, reverse=True)
    alike = [row[listed.columns.index("as good")].text for row in listed.rows]
    flat = facts.conclusion.optimum.flat_candidates
    assert alike == ["yes" if name in flat else "no" for name in listed.marks]
    assert len(stopped(facts).rows) == 2
    assert failures(facts).note == "out of memory: 1"
    named = {row[0].text for row in references(facts).rows}
    assert named == {"depth", "width", "resolution", "uniform", "paper"}


def test_comparisons_are_in_points_of_accuracy(told):
    facts = read_facts(told)
    listed = comparisons(facts)
    for row, one in zip(listed.rows, facts.conclusion.comparisons, strict=True):
        assert row[0].text == one.reference
        assert row[listed.columns.index("difference, points")].value == 100 * one.difference

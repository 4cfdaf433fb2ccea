import pytest

from scalesearch.figures.realised import realised_costs, realised_costs_figure
from scalesearch.figures.style import COLUMN, DOUBLE_COLUMN


def test_products_are_the_papers_model_of_cost(searched):
    table = searched()
    table.loc[table["candidate"] == "c03", ["alpha", "beta", "gamma"]] = [1.5, 1.2, 1.1]
    data = realised_costs(table, 2.0, 0.02)
    assert data.asked == pytest.approx([2.0] * 17)
    assert data.effective[3] == pytest.approx(1.5 * 1.2**2 * 1.1**2)
    assert data.realised[1] == table.set_index("candidate")["factor"]["c01"].iloc[0]


def test_networks_within_the_tolerance_are_counted(searched):
    table = searched()
    table.loc[table["candidate"].isin(["c00", "c01"]), "factor"] = 2.6
    assert realised_costs(table, 2.0, 0.02).within_budget_count == 15
    title = realised_costs_figure(realised_costs(table, 2.0, 0.02)).axes[0].get_title(loc="left")
    assert title == "15 of 17 networks cost 2x ± 2%"


@pytest.mark.parametrize("width", [3.3, COLUMN, DOUBLE_COLUMN])
def test_no_two_texts_collide(searched, legible, width):
    assert legible(realised_costs_figure(realised_costs(searched(), 2.0, 0.02), width)) > 10

"""The notebooks run from top to bottom, in a small size."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbclient, to run notebooks")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient, to run notebooks")

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SMOKE = {
    "01_quickstart": {
        "overrides": [
            "baseline.depth=0.3",
            "baseline.resolution=12",
            "data.pixels=12",
            "data.train_samples=60",
            "data.validation_samples=40",
            "budget.tolerance=0.04",
            "recipe.epochs=1",
            "search.step=2",
            "search.seeds=2",
            "search.rungs=null",
        ],
    },
    "02_read_a_search": {},
    "03_reproduce_the_paper": {},
}
"""What the cell of parameters is told beside what it says."""


def executed(name, parameters):
    """A notebook after all of its cells were run. Raises what a cell raises."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    (place,) = (
        index
        for index, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", ())
    )
    told = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(told))
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}
    )
    client.execute()
    return notebook


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def pictures(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("name", SMOKE)
def test_a_notebook_is_committed_without_outputs(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_every_notebook_is_run_by_a_test():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SMOKE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", SMOKE)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path):
    parameters = dict(SMOKE[name])
    if name != "02_read_a_search":
        parameters["results"] = str(tmp_path / "results")
    notebook = executed(name, parameters)
    if name == "03_reproduce_the_paper":
        assert "it shows that the program runs" in printed(notebook)
    if name == "02_read_a_search":
        assert "alpha" in printed(notebook)
        assert pictures(notebook) >= 2
    if name == "01_quickstart":
        assert pictures(notebook) == 1
        assert "networks cost 2 times the baseline" in printed(notebook)

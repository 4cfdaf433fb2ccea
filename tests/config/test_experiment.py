"""An experiment file says everything, and everything wrong with it is said at once."""

from pathlib import Path

import pytest
from refusals import refused

from scalesearch.config.reading import (
    experiment_differences,
    experiment_from_document,
    preset,
    read_experiment,
    read_experiments,
    write_experiment,
)
from scalesearch.config.recipe import Recipe
from scalesearch.config.search_spec import SearchSpec
from scalesearch.errors import ExperimentError
from scalesearch.io import to_document

SHIPPED = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_loads_and_is_named_after_its_file(path):
    experiment = read_experiment(path)
    assert experiment.name.replace("-", "_") == path.stem
    assert experiment.baseline.build_architecture().resolution > 1


def test_the_issue_of_the_quickstart_is_kept():
    experiment = read_experiment(SHIPPED[[path.stem for path in SHIPPED].index("quickstart")])
    assert experiment.data.source == "digits"
    assert (experiment.baseline.width, experiment.baseline.depth) == (0.25, 0.5)
    assert len(experiment.search.references) == 5


def test_a_written_experiment_is_read_back_the_same(tmp_path):
    for path in SHIPPED:
        experiment = read_experiment(path)
        write_experiment(tmp_path / "again.yaml", experiment)
        assert read_experiment(tmp_path / "again.yaml") == experiment


def test_a_preset_is_a_start_that_can_be_changed():
    recipe = experiment_from_document(
        {"name": "x", "recipe": {"preset": "fast", "epochs": 9}}
    ).recipe
    assert recipe.epochs == 9
    assert recipe.learning_rate == preset("fast").learning_rate
    assert "preset" not in to_document(experiment_from_document({"name": "x"}))["recipe"]


def test_all_problems_are_reported_at_once_with_dotted_paths():
    document = {
        "name": "a/b",
        "basline": {},
        "recipe": {"preset": "fast", "learning_rat": 3, "batch_size": "many"},
        "search": {"sampler": "latice", "seeds": 2},
        "budget": {"factor": 1, "tolerance": 2},
    }
    with refused(ExperimentError):
        experiment_from_document(document, "x.yaml")


@pytest.mark.parametrize(
    "document",
    [
        [1, 2],
        {},
        {"name": "a/b"},
        {"name": "x", "recipe": {"preset": "fst"}},
        {"name": "x", "recipe": {"epochs": 0}},
        {"name": "x", "baseline": {"name": "resnet5"}},
        {"name": "x", "baseline": {"width": -1}},
        {"name": "x", "data": {"train_samples": 0}},
        {"name": "x", "search": {"seeds": 0}},
        {"name": "x", "search": {"step": 2.5}},
        {"name": "x", "search": {"alpha": [2, 1]}},
        {"name": "x", "search": {"references": ["deep"]}},
        {"name": "x", "budget": {"rounding": "evn"}},
        {"name": "x", "seed": "zero"},
        {"name": "x", "seed": True},
        {"name": "x", "seed": -1},
        {"name": "x", "recipe": {"preset": [1]}},
        {"name": "x", "recipe": {"learning_rate": float("inf")}},
        {"name": "x", "search": {"step": float("inf")}},
        {"name": "x", "search": {"alpha": [1, float("inf")]}},
        {"name": "x", "budget": {"rounding": {"profile": "evn"}}},
    ],
)
def test_a_value_that_breaks_a_rule_is_named_with_the_rule(document):
    with refused(ExperimentError):
        experiment_from_document(document, "x.yaml")


def test_overrides_change_single_values(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("name: x\nrecipe: {epochs: 9}\n")
    changed = read_experiment(path, ["recipe.epochs=3", "data.source=digits", "seed=7"])
    assert (changed.recipe.epochs, changed.seed) == (3, 7)
    assert changed.recipe == Recipe(epochs=3)


@pytest.mark.parametrize(
    "override",
    [
        "recipe.epochs",
        "name.first=3",
        "recipe.epochs=[",
        "recipe.epoch=3",
    ],
)
def test_an_override_that_cannot_be_is_refused(tmp_path, override):
    (tmp_path / "x.yaml").write_text("name: x\n")
    with refused(ExperimentError):
        read_experiment(tmp_path / "x.yaml", [override])


def test_a_key_that_appears_twice_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("name: x\nseed: 1\nseed: 2\n")
    with refused(ExperimentError):
        read_experiment(tmp_path / "x.yaml")


def test_yaml_that_would_run_code_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("name: !!python/object/apply:os.getcwd []\n")
    with refused(ExperimentError):
        read_experiment(tmp_path / "x.yaml")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with refused(ExperimentError):
        read_experiment(tmp_path / "nowhere.yaml")


def test_differences_name_keys_and_both_values():
    one, other = (experiment_from_document({"name": "x", "seed": seed}) for seed in (0, 1))
    assert experiment_differences(one, other) == ["seed: 0 here, 1 there"]
    assert experiment_differences(one, one) == []


def test_a_part_that_one_has_not_got_is_a_difference_either_way():
    bare = experiment_from_document({"name": "x"})
    more = experiment_from_document({"name": "x", "recipe": {"transfer": {"freeze": ["stem"]}}})
    assert "recipe.transfer.freeze: None here, ['stem'] there" in experiment_differences(bare, more)
    assert "recipe.transfer.freeze: ['stem'] here, None there" in experiment_differences(more, bare)


@pytest.mark.parametrize(
    ("rungs", "epochs", "expected"),
    [
        (None, 9, (1, 3, 9)),
        (None, 2, (1, 2)),
        (None, 1, (1,)),
        ((1, 3, 9), 27, (1, 3, 9)),
        ((1, 3, 9), 3, (1, 3)),
        ((1, 3, 20), 9, (1, 3, 9)),
    ],
)
def test_rungs_end_where_they_say_or_at_the_end_of_the_recipe(rungs, epochs, expected):
    assert SearchSpec(rungs=rungs).rungs_for_epochs(epochs) == expected
    assert SearchSpec(rungs=rungs, pruner="none").rungs_for_epochs(epochs) == expected[-1:]


def test_several_factors_are_an_experiment_each_that_differs_in_name_and_factor(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("name: x\nbudget: {factor: [2, 4.5]}\n")
    two, more = read_experiments(path)
    assert (two.name, more.name) == ("x-factor-2", "x-factor-4.5")
    assert [line.partition(":")[0] for line in experiment_differences(two, more)] == [
        "name",
        "budget.factor",
    ]
    with refused(ExperimentError):
        read_experiment(path)
    assert read_experiments(path, ["budget.factor=2"]) == (
        read_experiment(path, ["budget.factor=2"]),
    )


@pytest.mark.parametrize("factors", ["[2]", "[]", "[2, 2]", "[2, x]", "[2, true]", "[2, 1]"])
def test_a_list_of_factors_has_two_that_differ(tmp_path, factors):
    path = tmp_path / "x.yaml"
    path.write_text(f"name: x\nbudget: {{factor: {factors}}}\n")
    with refused(ExperimentError):
        read_experiments(path)


def test_points_have_factors_of_their_own_and_no_list_of_them(tmp_path):
    path = tmp_path / "x.yaml"
    listed = "{sampler: points, points: [{name: a, width: 2}], references: [], pruner: none"
    path.write_text(f"name: x\nbudget: {{factor: [2, 4]}}\nsearch: {listed}, race: null}}\n")
    assert read_experiments(path, ["budget.factor=2"])
    with refused(ExperimentError):
        read_experiments(path)

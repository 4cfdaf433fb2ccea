"""An experiment file says everything, and everything wrong with it is said at once."""

from pathlib import Path

import pytest

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


def refused(document):
    with pytest.raises(ExperimentError) as refusal:
        experiment_from_document(document, "x.yaml")
    return str(refusal.value)


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
    message = refused(
        {
            "name": "a/b",
            "basline": {},
            "recipe": {"preset": "fast", "learning_rat": 3, "batch_size": "many"},
            "search": {"sampler": "latice", "seeds": 2},
            "budget": {"factor": 1, "tolerance": 2},
        }
    )
    assert message.startswith("x.yaml: 6 problems to mend:")
    for line in (
        "basline: unknown key; did you mean 'baseline'?",
        "recipe.learning_rat: unknown key; did you mean 'learning_rate'?",
        "recipe.batch_size: input should be a valid integer",
        "search.sampler: unknown 'latice'; did you mean 'lattice'?",
        "budget.factor: need a factor above 0, and not 1, got 1.0",
        "budget.tolerance: need 0 < tolerance < 0.5, got 2.0",
    ):
        assert line in message


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([1, 2], "need a mapping of keys to values, got [1, 2]"),
        ({}, "name: this key is required"),
        ({"name": "a/b"}, "name: need letters, digits"),
        ({"name": "x", "recipe": {"preset": "fst"}}, "recipe.preset: unknown 'fst'; did you mean"),
        ({"name": "x", "recipe": {"epochs": 0}}, "recipe.epochs: need at least 1, got 0"),
        (
            {"name": "x", "baseline": {"name": "resnet5"}},
            "1 problem to mend:\n  baseline.name: unknown baseline 'resnet5'; did you mean",
        ),
        ({"name": "x", "baseline": {"width": -1}}, "baseline.width: need a number above 0"),
        ({"name": "x", "data": {"train_samples": 0}}, "data.train_samples: need at least 1, got 0"),
        ({"name": "x", "search": {"seeds": 0}}, "search.seeds: need at least 1, got 0"),
        ({"name": "x", "search": {"step": 2.5}}, "search.step: need a whole number (of parts)"),
        ({"name": "x", "search": {"alpha": [2, 1]}}, "search.alpha: need 0 < low <= high"),
        ({"name": "x", "search": {"references": ["deep"]}}, "search.references.0: unknown 'deep'"),
        ({"name": "x", "budget": {"rounding": "evn"}}, "budget.rounding"),
        ({"name": "x", "seed": "zero"}, "seed: input should be a valid integer"),
        ({"name": "x", "seed": True}, "seed: input should be a valid integer"),
        ({"name": "x", "seed": -1}, "seed: need at least 0, got -1"),
        ({"name": "x", "recipe": {"preset": [1]}}, "recipe.preset: unknown [1]"),
        (
            {"name": "x", "recipe": {"learning_rate": float("inf")}},
            "recipe.learning_rate: need a rate",
        ),
        ({"name": "x", "search": {"step": float("inf")}}, "search.step: need a step above 0"),
        ({"name": "x", "search": {"alpha": [1, float("inf")]}}, "search.alpha: need 0 < low"),
        (
            {"name": "x", "budget": {"rounding": {"profile": "evn"}}},
            "rounding.profile: unknown",
        ),
    ],
)
def test_a_value_that_breaks_a_rule_is_named_with_the_rule(document, message):
    assert message in refused(document)


def test_overrides_change_single_values(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("name: x\nrecipe: {epochs: 9}\n")
    changed = read_experiment(path, ["recipe.epochs=3", "data.source=digits", "seed=7"])
    assert (changed.recipe.epochs, changed.seed) == (3, 7)
    assert changed.recipe == Recipe(epochs=3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.epochs", "need key=value"),
        ("name.first=3", "name holds no further keys"),
        ("recipe.epochs=[", "not valid YAML"),
        ("recipe.epoch=3", "recipe.epoch: unknown key; did you mean 'epochs'?"),
    ],
)
def test_an_override_that_cannot_be_is_refused(tmp_path, override, message):
    (tmp_path / "x.yaml").write_text("name: x\n")
    with pytest.raises(ExperimentError, match=message.replace("?", r"\?")):
        read_experiment(tmp_path / "x.yaml", [override])


def test_a_key_that_appears_twice_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("name: x\nseed: 1\nseed: 2\n")
    with pytest.raises(ExperimentError, match="the key 'seed' appears twice"):
        read_experiment(tmp_path / "x.yaml")


def test_yaml_that_would_run_code_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ExperimentError, match="not valid YAML"):
        read_experiment(tmp_path / "x.yaml")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ExperimentError, match=r"nowhere\.yaml: no such file"):
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
    with pytest.raises(ExperimentError, match=r"need one factor here, got \[2, 4.5\]"):
        read_experiment(path)
    assert read_experiments(path, ["budget.factor=2"]) == (
        read_experiment(path, ["budget.factor=2"]),
    )


@pytest.mark.parametrize("factors", ["[2]", "[]", "[2, 2]", "[2, x]", "[2, true]", "[2, 1]"])
def test_a_list_of_factors_has_two_that_differ(tmp_path, factors):
    path = tmp_path / "x.yaml"
    path.write_text(f"name: x\nbudget: {{factor: {factors}}}\n")
    with pytest.raises(ExperimentError, match="factor: need"):
        read_experiments(path)


def test_points_have_factors_of_their_own_and_no_list_of_them(tmp_path):
    path = tmp_path / "x.yaml"
    listed = "{sampler: points, points: [{name: a, width: 2}], references: [], pruner: none"
    path.write_text(f"name: x\nbudget: {{factor: [2, 4]}}\nsearch: {listed}, race: null}}\n")
    assert read_experiments(path, ["budget.factor=2"])
    with pytest.raises(ExperimentError, match="need one number for points"):
        read_experiments(path)

"""Optuna's private API is used in one module, and has the signatures used there."""

import inspect
import re
from pathlib import Path

import optuna
import pytest
from optuna.samplers import NSGAIISampler
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage, get_storage
from optuna.storages._rdb import models
from optuna.trial import TrialState, create_trial

import scalesearch
from scalesearch.search.study import optuna_private

HINT = (
    f"Optuna {optuna.__version__} has changed its private API: adapt "
    "scalesearch/search/study/optuna_private.py, which is the only module that uses it"
)
PRIVATE_NAMES = re.compile(
    r"\._storage\b|\._study_id\b|\._trial_id\b|\._backend\b|_get_prepared_new_trial"
    r"|optuna(\.\w+)*\._|(from|import) optuna\S* import _"
)


def parameters(function):
    return list(inspect.signature(function).parameters)


@pytest.fixture
def private_study():
    return optuna.create_study(storage=InMemoryStorage())


def test_no_other_module_uses_private_names():
    package = Path(scalesearch.__file__).parent
    private_module = Path(optuna_private.__file__)
    users = [
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        if path != private_module and PRIVATE_NAMES.search(path.read_text(encoding="utf-8"))
    ]
    assert users == [], f"move the use of Optuna's private API to {private_module.name}"
    assert PRIVATE_NAMES.search(private_module.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        "study._storage.get_trial(0)",
        "study._study_id",
        "trial._trial_id",
        "from optuna.storages._rdb import models",
        "import optuna.storages._rdb.models",
        "from optuna.samplers import _tpe",
    ],
)
def test_private_names_are_recognised(line):
    assert PRIVATE_NAMES.search(line)


def test_a_study_has_its_storage_and_its_id(private_study):
    assert isinstance(getattr(private_study, "_storage", None), BaseStorage), HINT
    assert isinstance(getattr(private_study, "_study_id", None), int), HINT


def test_a_trial_has_its_id(private_study):
    trial_id = optuna_private.create_trial(private_study, create_trial(state=TrialState.RUNNING))
    assert getattr(private_study.trials[0], "_trial_id", None) == trial_id, HINT


def test_the_cache_of_a_database_has_it_as_its_backend(tmp_path):
    database = RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    try:
        cache = get_storage(database)
        assert cache is not database, HINT
        assert getattr(cache, "_backend", None) is database, HINT
    finally:
        database.engine.dispose()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("create_new_trial", ["self", "study_id", "template_trial"]),
        ("get_n_trials", ["self", "study_id", "state"]),
        ("get_trial", ["self", "trial_id"]),
        ("get_trial_number_from_id", ["self", "trial_id"]),
        ("set_trial_intermediate_value", ["self", "trial_id", "step", "intermediate_value"]),
        ("set_trial_state_values", ["self", "trial_id", "state", "values"]),
        ("set_trial_user_attr", ["self", "trial_id", "key", "value"]),
    ],
)
def test_a_storage_has_this_method(name, expected):
    assert parameters(getattr(BaseStorage, name, lambda: None)) == expected, HINT


def test_a_database_creates_trials_by_the_method_that_is_overridden():
    method = getattr(RDBStorage, "_get_prepared_new_trial", lambda: None)
    assert parameters(method) == ["self", "study_id", "template_trial", "session"], HINT
    assert "_get_prepared_new_trial(" in inspect.getsource(RDBStorage._create_new_trial), HINT


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        ("TrialParamModel", {"trial_id", "param_name", "param_value", "distribution_json"}),
        ("TrialUserAttributeModel", {"trial_id", "key", "value_json"}),
        ("TrialSystemAttributeModel", {"trial_id", "key", "value_json"}),
    ],
)
def test_a_table_has_the_columns_that_are_inserted(model, columns):
    table = getattr(models, model, None)
    assert table is not None, HINT
    # All columns but the primary key: a new one would have to be filled here too.
    assert {column.name for column in table.__table__.columns if not column.primary_key} == columns


def test_a_trial_created_at_once_equals_one_that_optuna_creates(tmp_path):
    template = create_trial(
        state=TrialState.RUNNING,
        params={"x": 0.25},
        distributions={"x": optuna.distributions.FloatDistribution(0.0, 1.0)},
        user_attrs={"rows": [{"epoch": 1}]},
        system_attrs={"system": 1},
        intermediate_values={1: 0.5},
        constraints={"budget": -0.5},
    )
    trials = []
    for name, storage_class in (("own", optuna_private.StudyStorage), ("plain", RDBStorage)):
        storage = storage_class(f"sqlite:///{tmp_path / name}.db")
        study = optuna.create_study(storage=storage)
        optuna_private.create_trial(study, template)
        trials += study.trials
        storage.engine.dispose()
    created_at_once, created_by_optuna = trials
    for name in (
        *("state", "params", "distributions", "user_attrs", "system_attrs"),
        *("intermediate_values", "constraints"),
    ):
        assert getattr(created_at_once, name) == getattr(created_by_optuna, name), name


def test_nsga2_keeps_the_generation_under_this_key():
    key = getattr(NSGAIISampler, "_GENERATION_KEY", None)
    assert key == optuna_private.NSGA2_GENERATION_KEY, HINT

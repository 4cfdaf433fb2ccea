"""Every use of Optuna's private API, and of its storages, in one place.

Optuna's public API cannot write to a trial by its id: ``Study.add_trial`` does not return the new
trial, and finding it again reads all trials. On SQLite a recorded trial took 30 ms that way and
20 ms this way (60 trials; the first grows with their number). The test file
``tests/search/study/test_optuna_private.py`` checks that each private name still exists with the
signature used here.
"""

import json
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.orm import Session

NSGA2_GENERATION_KEY = "NSGAIISampler:generation"
"""System attribute in which Optuna's NSGA-II keeps the generation of a trial."""


def create_trial(study: optuna.Study, template: FrozenTrial) -> int:
    """Create a trial like the template in one transaction; return its id."""
    return study._storage.create_new_trial(study._study_id, template)


def trial_id(frozen_trial: FrozenTrial) -> int:
    """Return the id of a trial in its storage."""
    return frozen_trial._trial_id


def trial_number(study: optuna.Study, trial_id: int) -> int:
    """Return Optuna's number of the trial with this id."""
    return study._storage.get_trial_number_from_id(trial_id)


def trial_count(study: optuna.Study) -> int:
    """Count the trials of a study without reading them."""
    return study._storage.get_n_trials(study._study_id)


def read_trial(study: optuna.Study, trial_id: int) -> FrozenTrial:
    """Read one trial by its id."""
    return study._storage.get_trial(trial_id)


def set_attribute(study: optuna.Study, trial_id: int, name: str, value: Any) -> None:
    """Set a user attribute of a running trial."""
    study._storage.set_trial_user_attr(trial_id, name, value)


def set_intermediate_value(study: optuna.Study, trial_id: int, step: int, value: float) -> None:
    """Set a running trial's value at a step; unlike ``Trial.report``, also again."""
    study._storage.set_trial_intermediate_value(trial_id, step, value)


def set_state(
    study: optuna.Study, trial_id: int, state: TrialState, values: Sequence[float] | None
) -> bool:
    """Set the state and values of a trial; return whether Optuna accepted them."""
    return study._storage.set_trial_state_values(trial_id, state, values)


def underlying_storage(study: optuna.Study) -> BaseStorage:
    """Return the storage of a study without Optuna's cache around it."""
    storage: BaseStorage = getattr(study._storage, "_backend", study._storage)
    return storage


class StudyStorage(RDBStorage):
    """Optuna's database storage, with a faster way to create a trial.

    Optuna looks the trial up again for each attribute, which is most of the cost of a trial with
    twenty attributes. Here they are inserted together. Tables and transactions are the same.
    """

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is None:
            return super()._get_prepared_new_trial(study_id, None, session)
        bare_trial = copy(template_trial)
        bare_trial.user_attrs, bare_trial.system_attrs = {}, {}
        bare_trial.params, bare_trial.distributions = {}, {}
        trial = super()._get_prepared_new_trial(study_id, bare_trial, session)
        session.flush()
        for table, rows in _initial_rows(template_trial):
            if rows:
                trial_rows = [{"trial_id": trial.trial_id, **row} for row in rows]
                session.execute(sqlalchemy.insert(table), trial_rows)
        return trial


def _initial_rows(
    trial: FrozenTrial,
) -> Iterator[tuple[type[models.BaseModel], list[dict[str, Any]]]]:
    """Yield the parameters and attributes of a trial as rows of their tables."""
    yield (
        models.TrialParamModel,
        [
            {
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(distribution),
            }
            for name, distribution in trial.distributions.items()
        ],
    )
    for table, attributes in (
        (models.TrialUserAttributeModel, trial.user_attrs),
        (models.TrialSystemAttributeModel, trial.system_attrs),
    ):
        rows = [{"key": key, "value_json": json.dumps(v)} for key, v in attributes.items()]
        yield table, rows

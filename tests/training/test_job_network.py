"""Checks of a job before training."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from refusals import refused

from scalesearch.architectures.custom import CustomModel
from scalesearch.errors import SearchError
from scalesearch.training.job import TrainingJob
from scalesearch.training.job_network import build_initial_model


@pytest.mark.parametrize("option", [{"dropout": 0.2}, {"drop_connect": 0.2}, {"residual": "zero"}])
def test_recipe_fields_that_a_custom_model_ignores_are_refused(
    job: TrainingJob, option: dict[str, Any]
) -> None:
    recipe = replace(job.recipe, **{"dropout": 0, "drop_connect": 0, **option})
    by_code = replace(job, architecture=CustomModel(factory="nobody:knows"), recipe=recipe)
    with refused(SearchError):
        build_initial_model(by_code, torch.device("cpu"))

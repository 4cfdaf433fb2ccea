"""The training job and its identity."""

from dataclasses import replace

import pytest
from refusals import refused

from scalesearch.data.dataset import Dataset
from scalesearch.training.job import TrainingJob, identity


def test_identity_does_not_depend_on_how_far_a_job_goes(
    job: TrainingJob, dataset: Dataset, tmp_path
) -> None:
    further = replace(job, start=1, stop=2, checkpoint=tmp_path / "run")
    assert identity(job, dataset, "cpu") == identity(further, dataset, "cpu")


def test_identity_depends_on_everything_that_changes_the_numbers(
    job: TrainingJob, dataset: Dataset
) -> None:
    others = [
        identity(replace(job, seed=8), dataset, "cpu"),
        identity(replace(job, fingerprint="other"), dataset, "cpu"),
        identity(replace(job, recipe=replace(job.recipe, threads=2)), dataset, "cpu"),
        identity(replace(job, recipe=replace(job.recipe, norm_momentum=0.2)), dataset, "cpu"),
        identity(job, replace(dataset, fingerprint="other"), "cpu"),
        identity(job, replace(dataset, allows_flip=not dataset.allows_flip), "cpu"),
        identity(job, dataset, "cuda"),
    ]
    assert len({identity(job, dataset, "cpu"), *others}) == 1 + len(others)


def test_the_device_counts_by_kind_not_by_number(job: TrainingJob, dataset: Dataset) -> None:
    assert identity(job, dataset, "cuda:1") == identity(job, dataset, "cuda")


@pytest.mark.parametrize(("start", "stop"), [(2, 1), (0, 4), (-1, None), (4, None)])
def test_epochs_outside_the_recipe_are_refused(
    job: TrainingJob, start: int, stop: int | None
) -> None:
    with refused(ValueError):
        replace(job, start=start, stop=stop)

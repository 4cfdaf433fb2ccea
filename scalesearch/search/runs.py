"""A candidate's runs: its own recipe, all its seeds, every epoch written down."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace

import optuna
from optuna.trial import FrozenTrial

from scalesearch.data import Dataset, zoom
from scalesearch.experiment import Experiment
from scalesearch.recipe import Recipe
from scalesearch.search import ledger
from scalesearch.search.folder import Folder
from scalesearch.search.plan import Planned, Space
from scalesearch.training import Epoch, Job, adapted, full_rate, swept, train_together


@dataclass(frozen=True, slots=True)
class Setting:
    """What stays the same while a search runs."""

    experiment: Experiment
    folder: Folder
    study: optuna.Study
    where: Space
    planned: tuple[Planned, ...]
    dataset: Callable[[int], Dataset] = field(repr=False)
    device: str
    commit: str
    micro_batch: int | None

    @property
    def epochs(self) -> int:
        """Epochs in total, if every proposal finds a candidate and no run fails."""
        experiment = self.experiment
        candidates = len(self.planned) + (experiment.search.asks or 0)
        return candidates * len(experiment.seeds) * experiment.recipe.epochs


def runs(setting: Setting, trial: FrozenTrial) -> Iterator[tuple[int, Epoch]]:
    """Train the seeds from where the ledger ends, and write down every epoch."""
    recipe, tuning_seconds = _recipe(setting, trial)
    jobs = [
        job
        for seed in setting.experiment.seeds
        if (job := _job(setting, trial, recipe, seed)).start < job.last
    ]
    groups = [jobs] if setting.experiment.search.together and jobs else [[job] for job in jobs]
    facts = {
        "learning_rate": full_rate(recipe),
        "micro_batch": recipe.micro_batch or recipe.batch_size,
        "tuning_seconds": tuning_seconds,
        "device": setting.device,
        "commit": setting.commit,
    }
    for group in groups:
        datasets = [setting.dataset(job.seed) for job in group]
        for place, epoch in train_together(group, datasets, device=setting.device):
            measured = asdict(epoch)
            del measured["resolution"]  # of this epoch's images; the column is the network's
            row = {"seed": group[place].seed, "epoch": measured.pop("index"), **measured}
            ledger.record(setting.study, trial, row | facts)
            yield group[place].seed, epoch


def _job(setting: Setting, trial: FrozenTrial, recipe: Recipe, seed: int) -> Job:
    name = trial.user_attrs["candidate"]["candidate"]
    return Job(
        architecture=ledger.architecture_of(trial),
        recipe=recipe,
        seed=seed,
        fingerprint=name,
        start=len(ledger.recorded(trial, seed)),
        checkpoint=setting.folder.checkpoint(name, seed),
    )


def _recipe(setting: Setting, trial: FrozenTrial) -> tuple[Recipe, float]:
    """A candidate's own recipe, by the rules of the experiment's, and the seconds it took to find.

    A sweep is made once, with the first seed, and is on record before anything else is trained.
    """
    network = ledger.architecture_of(trial)
    recipe = replace(setting.experiment.recipe, micro_batch=setting.micro_batch)
    baseline = setting.where.baseline
    recipe = adapted(recipe, network, baseline)
    if recipe.evaluation_zoom is None:
        pixels = setting.dataset(setting.experiment.seed).pixels
        recipe = replace(recipe, evaluation_zoom=zoom(pixels, baseline.resolution))
    if recipe.learning_rate_rule != "tuned":
        return recipe, 0.0
    tuning = ledger.tuning_of(setting.study, trial)
    if tuning is None:
        seed = setting.experiment.seed
        job = replace(_job(setting, trial, recipe, seed), start=0)
        tuning = asdict(swept(job, setting.dataset(seed), device=setting.device))
        ledger.set_tuning(setting.study, trial, tuning)
    rate = tuning["learning_rate"]
    return replace(recipe, learning_rate=rate, learning_rate_rule="fixed"), tuning["seconds"]

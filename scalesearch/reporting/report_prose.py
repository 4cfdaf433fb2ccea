"""The report's prose: method, provenance, commands to reproduce it, and citations."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from scalesearch.analysis.statistical_power import MAX_SEEDS
from scalesearch.architectures.custom import CustomModel
from scalesearch.config.search_spec import StopSpec
from scalesearch.reporting.report_data import ReportData
from scalesearch.reporting.terminal.display import format_duration
from scalesearch.results.records import spent_seconds

PAPER_BIBTEX = """@inproceedings{tan2019efficientnet,
  title     = {{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks},
  author    = {Tan, Mingxing and Le, Quoc V.},
  booktitle = {Proceedings of the 36th International Conference on Machine Learning},
  series    = {Proceedings of Machine Learning Research},
  volume    = {97},
  pages     = {6105--6114},
  year      = {2019},
  note      = {arXiv:1905.11946}
}"""

PROGRAM_BIBTEX = """@software{{scalesearch,
  title   = {{scalesearch: compound scaling searched, not assumed}},
  author  = {{{{The scalesearch authors}}}},
  year    = {{2026}},
  version = {{{version}}}{commit}
}}"""

SAMPLER_SENTENCES = {
    "lattice": "The candidates were a lattice of shares, chosen beforehand",
    "cartesian": "The candidates were the classic grid of coefficients, chosen beforehand",
    "optimal": "The candidates were chosen beforehand to determine the surface best",
    "points": "The candidates were listed one by one in the experiment",
}
MEASURE_NAMES = {
    "macs": "multiply-adds",
    "params": "parameters",
    "activations": "activations",
    "latency": "predicted time",
}
PRUNER_CLAUSES = {
    "halving": "the best 1/{eta} continued from their checkpoints (successive halving)",
    "median": "those below the median so far were stopped",
    "hyperband": "Hyperband decided which candidates continued",
}


@dataclass(frozen=True, slots=True)
class ProvenanceLine:
    """A name and a value of the provenance."""

    name: str
    value: str


def method_paragraphs(report: ReportData) -> Iterator[str]:
    """Describe the search and its evaluation, in paragraphs."""
    yield _search_space_text(report)
    yield _training_text(report)
    yield _schedule_text(report)
    yield from _evaluation_paragraphs(report)


def _search_space_text(report: ReportData) -> str:
    budget, baseline = report.experiment.budget, report.experiment.baseline
    changes = [f"{baseline.width:g} of its width"] if baseline.width != 1 else []
    changes += [f"{baseline.depth:g} of its depth"] if baseline.depth != 1 else []
    changes += [f"{baseline.resolution} pixels"] if baseline.resolution else []
    changes += [f"stem stride {baseline.stem_stride}"] if baseline.stem_stride else []
    baseline_cost = report.baseline_cost
    cost_text = (
        f" It costs {baseline_cost.macs:,} multiply-adds with {baseline_cost.params:,} parameters."
        if baseline_cost
        else ""
    )
    changes_text = f" ({', '.join(changes)})" if changes else ""
    if budget.mode == "realised":
        budget_text = (
            "Candidates are distinct networks (depth x width x resolution) whose realised cost in "
            f"{MEASURE_NAMES[budget.measure]} is {budget.factor:g} times the baseline's, within "
            f"{budget.tolerance:.0%}."
        )
    else:
        budget_text = (
            "Candidates are the networks that the coefficients give after rounding, as in the "
            f"paper, for a nominal factor of {budget.factor:g}: their realised cost differs, so "
            "a more accurate network may only be a more expensive one."
        )
    return f"The baseline is {baseline.name}{changes_text}.{cost_text} {budget_text}"


def _training_text(report: ReportData) -> str:
    data, recipe = report.environment["data"], report.experiment.recipe
    train, validation = (data.get(part) for part in ("train", "validation"))
    train_text = f"{train:,} images of {data['source']}" if train else f"images of {data['source']}"
    validation_text = f"{validation:,} others" if validation else "others"
    return (
        f"Each run trains on {train_text} and is validated on {validation_text}, of "
        f"{len(data['classes'])} classes; test images are not used. The recipe: "
        f"{recipe.optimizer}, learning rate {recipe.learning_rate:g} "
        f"({recipe.learning_rate_rule}), {recipe.schedule} schedule, batches of "
        f"{recipe.batch_size}, {recipe.epochs} epochs. Runs with equal seeds see the same images "
        "in the same order for every network, so that networks are compared in pairs."
    )


def _schedule_text(report: ReportData) -> str:
    search, rungs = report.experiment.search, report.experiment.rungs
    sampler_text = SAMPLER_SENTENCES.get(
        search.sampler,
        f"The sampler {search.sampler} proposed shares, and for each the nearest network not yet "
        "trained was a candidate",
    )
    names = ", ".join(search.references)
    references_text = (
        f"; the references {names} were trained as well, with all seeds" if names else ""
    )
    seeds = f"{search.seeds} seed{'' if search.seeds == 1 else 's'}"
    halving = PRUNER_CLAUSES.get(search.pruner, "").format(eta=search.eta)
    early_rungs = [str(rung) for rung in rungs[:-1]]
    pruning_text = (
        f" After epoch {' and '.join(early_rungs)} {halving}." if early_rungs and halving else ""
    )
    race_text = (
        f" After {search.race} seeds, only networks that might still be the best got more seeds."
        if search.race is not None and search.race < search.seeds
        else ""
    )
    has_no_early_stop = search.stop == StopSpec()
    stopping_text = "" if has_no_early_stop else " The search had criteria to stop early."
    return (
        f"{sampler_text}{references_text}. {seeds}, to epoch {rungs[-1]}."
        f"{pruning_text}{race_text}{stopping_text}"
    )


def _evaluation_paragraphs(report: ReportData) -> Iterator[str]:
    conclusion = report.conclusion
    if conclusion.optimum is None:
        yield "No surface could be fitted, so there are no coefficients with intervals."
        return
    yield (
        "Accuracy is fitted as a polynomial of the realised shares (a Scheffé polynomial, as they "
        "sum to one) by weighted least squares, with the seeds' noise as weights. The degree is "
        "the one that best predicts a candidate from the others "
        f"({conclusion.optimum.degree}); a plane is never used for the optimum, since it is "
        "always highest in a corner."
    )
    yield (
        f"Intervals have a confidence of {1 - conclusion.level:.0%}, from a bootstrap that gives "
        "every candidate the residual of another, chooses the degree again and finds the optimum "
        "again. The area as good as the optimum is found by a one-sided t test of each point. "
        "alpha, beta and gamma are F^depth, F^(width/2) and F^(resolution/2) of the shares, so "
        f"that alpha * beta^2 * gamma^2 = F = {conclusion.factor:g} exactly."
    )


def power_sentences(report: ReportData) -> Iterator[str]:
    """Say which differences the search could show; empty if its noise is unknown."""
    statistical_power = report.conclusion.power
    if statistical_power is None:
        return
    yield (
        "The noise of a run, beyond the effects of its network and its seed, is "
        f"{100 * statistical_power.noise:.2f} points of accuracy, from {statistical_power.basis}."
    )
    if statistical_power.two is not None and statistical_power.references is not None:
        references_text = (
            f", and of {100 * statistical_power.references:.1f} points from each of "
            f"{statistical_power.comparisons} "
            f"alternative{'' if statistical_power.comparisons == 1 else 's'}"
            if statistical_power.comparisons
            else ""
        )
        yield (
            f"With a probability of {statistical_power.power:.0%}, {statistical_power.seeds} seeds "
            f"show a difference of {100 * statistical_power.two:.1f} points between two networks "
            f"chosen beforehand (at the level {statistical_power.level:g}){references_text}."
        )
    needed = [
        f"{seeds:,}{' or more' if seeds >= MAX_SEEDS else ''} for {100 * difference:g} points"
        for difference, seeds in statistical_power.needed
    ]
    if needed:
        yield f"Seeds that would show a given difference between two networks: {', '.join(needed)}."


def provenance_lines(report: ReportData) -> Iterator[ProvenanceLine]:
    """List the machine, versions, data and time of the search."""
    env, records = report.environment, report.records
    seeds = sorted({int(seed) for seed in records["seed"]})
    yield ProvenanceLine("experiment", report.experiment.name)
    yield ProvenanceLine("scalesearch", _version_text(report))
    commits = sorted({str(commit) for commit in records["commit"] if str(commit) != ""})
    if others := [commit for commit in commits if commit != env["commit"]]:
        yield ProvenanceLine("other commits in the records", ", ".join(others))
    yield ProvenanceLine("device", ", ".join(sorted({str(device) for device in records["device"]})))
    machine = [str(env[key]) for key in ("processor", "system") if env.get(key)]
    cores = [f"{env['cores']} cores"] if env.get("cores") else []
    yield ProvenanceLine("machine", ", ".join([*machine, *cores]) or "not on record")
    packages = env.get("packages", {})
    versions = [f"{name} {version}" for name, version in packages.items() if version]
    yield ProvenanceLine("versions", ", ".join([f"Python {env.get('python', '?')}", *versions]))
    yield ProvenanceLine("data", _data_text(report))
    yield ProvenanceLine("seeds", ", ".join(map(str, seeds)))
    yield ProvenanceLine(
        "trained",
        f"{len(records):,} epochs of {records['candidate'].nunique()} networks, "
        f"{format_duration(spent_seconds(records))} of training and validation",
    )
    yield ProvenanceLine("wall time", _wall_time_text(report))


def _version_text(report: ReportData) -> str:
    version = report.environment.get("packages", {}).get("scalesearch") or "version not on record"
    commit = report.environment["commit"]
    return f"{version}, commit {commit}" if commit else str(version)


def _data_text(report: ReportData) -> str:
    data = report.environment["data"]
    fingerprints = data.get("fingerprints", {})
    fingerprint_text = ", ".join(
        f"{seed}: {fingerprint}" for seed, fingerprint in fingerprints.items()
    )
    return f"{data['source']}" + (
        f" (fingerprint of each seed's images: {fingerprint_text})" if fingerprint_text else ""
    )


def _wall_time_text(report: ReportData) -> str:
    jobs = report.jobs
    if jobs is None or not (jobs["ended"] > 0).any():
        return "not on record"
    finished_jobs = jobs[jobs["ended"] > 0]
    seconds = float(finished_jobs["ended"].max() - finished_jobs["began"].min())
    workers = finished_jobs["worker"].nunique()
    worker_text = f"{workers} worker process{'' if workers == 1 else 'es'}"
    duration = format_duration(seconds)
    return f"{duration} from the first job to the last, by {worker_text}, breaks included"


def reproduction_commands(report: ReportData) -> str:
    """Return the commands that repeat the search and its report."""
    name = report.experiment.name
    commit = report.environment["commit"].rstrip("+")
    version = report.environment.get("packages", {}).get("scalesearch")
    version_text = " of scalesearch"
    if version:
        version_text = f" {version} of scalesearch"
    if commit:
        version_text += f", commit {commit}"
    code_option = " --allow-code" if isinstance(report.baseline, CustomModel) else ""
    return "\n".join(
        [
            f"# with version{version_text}",
            f"scalesearch search experiment.yaml --results results/{name}-again{code_option}",
            f"scalesearch report results/{name}-again",
            "",
            "# this folder alone is enough for the summary, the figures and this page",
            f"scalesearch report {shlex.quote(report.name)}",
        ]
    )


def bibtex_entries(report: ReportData) -> str:
    """Return BibTeX entries of the EfficientNet paper and of this program."""
    version = report.environment.get("packages", {}).get("scalesearch") or ""
    commit = report.environment["commit"]
    note = f",\n  note    = {{commit {commit}}}" if commit else ""
    return f"{PAPER_BIBTEX}\n\n{PROGRAM_BIBTEX.format(version=version, commit=note)}"

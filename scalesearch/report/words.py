"""The report's prose: how the search was made, where, how to make it again and how to cite it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from scalesearch.analysis.power import MOST_SEEDS
from scalesearch.architectures import Foreign
from scalesearch.experiment import StopSpec
from scalesearch.progress.display import clock
from scalesearch.records import spent_seconds
from scalesearch.report.facts import Facts

PAPER = """@inproceedings{tan2019efficientnet,
  title     = {{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks},
  author    = {Tan, Mingxing and Le, Quoc V.},
  booktitle = {Proceedings of the 36th International Conference on Machine Learning},
  series    = {Proceedings of Machine Learning Research},
  volume    = {97},
  pages     = {6105--6114},
  year      = {2019},
  note      = {arXiv:1905.11946}
}"""

OURS = """@software{{scalesearch,
  title   = {{scalesearch: compound scaling searched, not assumed}},
  author  = {{{{The scalesearch authors}}}},
  year    = {{2026}},
  version = {{{version}}}{commit}
}}"""

PLANS = {
    "lattice": "Shares on a lattice were planned beforehand",
    "cartesian": "The classic grid of coefficients was planned beforehand",
    "optimal": "The networks that best determine the surface were chosen beforehand",
    "points": "The networks were listed one by one in the experiment",
}
COUNTED = {
    "macs": "multiply-adds",
    "params": "parameters",
    "activations": "activations",
    "latency": "predicted time",
}
PRUNERS = {
    "halving": "the best 1/{eta} went on from their checkpoints (successive halving)",
    "median": "those below the median of what was seen so far were stopped",
    "hyperband": "Hyperband decided who went on",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the provenance."""

    name: str
    value: str


def method(facts: Facts) -> Iterator[str]:
    """Paragraphs on what was done, from the experiment, and on how it was judged."""
    yield _space(facts)
    yield _training(facts)
    yield _schedule(facts)
    yield from _judgement(facts)


def _space(facts: Facts) -> str:
    budget, base = facts.experiment.budget, facts.experiment.baseline
    small = [f"{base.width:g} of its width"] if base.width != 1 else []
    small += [f"{base.depth:g} of its depth"] if base.depth != 1 else []
    small += [f"{base.resolution} pixels"] if base.resolution else []
    small += [f"stem stride {base.stem_stride}"] if base.stem_stride else []
    own = facts.baseline_cost
    costs = f" It costs {own.macs:,} multiply-adds with {own.params:,} parameters." if own else ""
    shape = f" ({', '.join(small)})" if small else ""
    if budget.mode == "realised":
        how = (
            "Candidates are distinct networks (depth x width x resolution), none a duplicate of "
            f"another, whose realised cost in {COUNTED[budget.measure]} is {budget.factor:g} times "
            f"the baseline's, within {budget.tolerance:.0%}."
        )
    else:
        how = (
            "Candidates are whatever networks the coefficients give under the rounding, as in the "
            f"paper, for a nominal factor of {budget.factor:g}: their realised cost differs, and "
            "so a more accurate one may only be a dearer one."
        )
    return f"The baseline is {base.name}{shape}.{costs} {how}"


def _training(facts: Facts) -> str:
    data, recipe = facts.environment["data"], facts.experiment.recipe
    train, other = (data.get(part) for part in ("train", "validation"))
    many = f"{train:,} images of {data['source']}" if train else f"images of {data['source']}"
    others = f"{other:,} others" if other else "others"
    return (
        f"Each run trains on {many} and is validated on {others}, of {len(data['classes'])} "
        f"classes; test images are never seen. The recipe: {recipe.optimizer}, learning rate "
        f"{recipe.learning_rate:g} ({recipe.learning_rate_rule}), {recipe.schedule} schedule, "
        f"batches of {recipe.batch_size}, {recipe.epochs} epochs. Runs with equal seeds see the "
        "same images in the same order, whatever the network, so that networks are compared in "
        "pairs."
    )


def _schedule(facts: Facts) -> str:
    search, rungs = facts.experiment.search, facts.experiment.rungs
    what = PLANS.get(
        search.sampler,
        f"The sampler {search.sampler} proposed shares, each trained as the nearest network that "
        "had not been",
    )
    refs = ", ".join(search.references)
    beside = f"; beside it were trained the references {refs}, with all seeds" if refs else ""
    seeds = f"{search.seeds} seed{'' if search.seeds == 1 else 's'}"
    halving = PRUNERS.get(search.pruner, "").format(eta=search.eta)
    early = [str(rung) for rung in rungs[:-1]]
    cut = f" After epoch {' and '.join(early)} {halving}." if early and halving else ""
    race = (
        f" After {search.race} seeds, further ones went only to networks that might still win."
        if search.race is not None and search.race < search.seeds
        else ""
    )
    whole = search.stop == StopSpec()
    enough = "" if whole else " The search was to stop early when it had enough."
    return f"{what}{beside}. {seeds}, to epoch {rungs[-1]}.{cut}{race}{enough}"


def _judgement(facts: Facts) -> Iterator[str]:
    said = facts.conclusion
    if said.optimum is None:
        yield "No surface could be fitted, so that there are no coefficients with intervals."
        return
    yield (
        "Accuracy is fitted as a polynomial of the realised shares (a Scheffé polynomial, as they "
        "sum to one) by weighted least squares, with the seeds' noise as weights. The degree is "
        f"the one that best predicts a candidate from the others ({said.optimum.degree}); a plane "
        "is not asked for an optimum, since it is highest in a corner whatever the data."
    )
    yield (
        f"Intervals are of {1 - said.level:.0%}, from a bootstrap that gives every candidate "
        "another's residual, chooses the degree anew and finds the optimum again. What is as good "
        "as the optimum is found by a one-sided t test of each place. alpha, beta and gamma are "
        "F^depth, F^(width/2) and F^(resolution/2) of the shares, so that alpha * beta^2 * "
        f"gamma^2 = F = {said.factor:g} exactly."
    )


def power(facts: Facts) -> Iterator[str]:
    """Which differences the search could show; nothing where its noise is not known."""
    known = facts.conclusion.power
    if known is None:
        return
    yield (
        f"The noise of a run, after its network and its seed, is {100 * known.noise:.2f} points "
        f"of accuracy, from {known.basis}."
    )
    if known.two is not None and known.references is not None:
        several = (
            f", and of {100 * known.references:.1f} points from each of {known.comparisons} "
            f"alternative{'' if known.comparisons == 1 else 's'}"
            if known.comparisons
            else ""
        )
        yield (
            f"With a probability of {known.power:.0%}, {known.seeds} seeds show a difference of "
            f"{100 * known.two:.1f} points between two networks chosen beforehand (at the level "
            f"{known.level:g}){several}."
        )
    needed = [
        f"{seeds:,}{' or more' if seeds >= MOST_SEEDS else ''} for {100 * apart:g} points"
        for apart, seeds in known.needed
    ]
    if needed:
        yield f"Seeds that would show a given one between two networks: {', '.join(needed)}."


def provenance(facts: Facts) -> Iterator[Fact]:
    """Where, when and with what the numbers were made."""
    env, records = facts.environment, facts.records
    seeds = sorted({int(seed) for seed in records["seed"]})
    yield Fact("experiment", facts.experiment.name)
    yield Fact("scalesearch", _version(facts))
    commits = sorted({str(commit) for commit in records["commit"] if str(commit) != ""})
    if others := [commit for commit in commits if commit != env["commit"]]:
        yield Fact("other commits in the records", ", ".join(others))
    yield Fact("device", ", ".join(sorted({str(device) for device in records["device"]})))
    machine = [str(env[key]) for key in ("processor", "system") if env.get(key)]
    cores = [f"{env['cores']} cores"] if env.get("cores") else []
    yield Fact("machine", ", ".join([*machine, *cores]) or "not on record")
    packages = env.get("packages", {})
    versions = [f"{name} {version}" for name, version in packages.items() if version]
    yield Fact("versions", ", ".join([f"Python {env.get('python', '?')}", *versions]))
    yield Fact("data", _data(facts))
    yield Fact("seeds", ", ".join(map(str, seeds)))
    yield Fact(
        "trained",
        f"{len(records):,} epochs of {records['candidate'].nunique()} networks, "
        f"{clock(spent_seconds(records))} of training and validation",
    )
    yield Fact("wall time", _wall(facts))


def _version(facts: Facts) -> str:
    version = facts.environment.get("packages", {}).get("scalesearch") or "version not on record"
    commit = facts.environment["commit"]
    return f"{version}, commit {commit}" if commit else str(version)


def _data(facts: Facts) -> str:
    data = facts.environment["data"]
    prints = data.get("fingerprints", {})
    marks = ", ".join(f"{seed}: {mark}" for seed, mark in prints.items())
    return f"{data['source']}" + (f" (fingerprint of each seed's images: {marks})" if marks else "")


def _wall(facts: Facts) -> str:
    jobs = facts.jobs
    if jobs is None or not (jobs["ended"] > 0).any():
        return "not on record"
    timed = jobs[jobs["ended"] > 0]
    seconds = float(timed["ended"].max() - timed["began"].min())
    workers = timed["worker"].nunique()
    many = f"{workers} worker process{'' if workers == 1 else 'es'}"
    return f"{clock(seconds)} from the first job to the last, by {many}, breaks included"


def reproduction(facts: Facts) -> str:
    """Commands that make it all again, and those that look at it."""
    name = facts.experiment.name
    commit = facts.environment["commit"].rstrip("+")
    version = facts.environment.get("packages", {}).get("scalesearch")
    code = " of scalesearch"
    if version:
        code = f" {version} of scalesearch"
    if commit:
        code += f", commit {commit}"
    allowed = " --allow-code" if isinstance(facts.baseline, Foreign) else ""
    return "\n".join(
        [
            f"# with version{code}",
            f"scalesearch search experiment.yaml --results results/{name}-again{allowed}",
            f"scalesearch report results/{name}-again",
            "",
            "# this folder alone is enough for its answer, figures and this page",
            f"scalesearch report {shlex.quote(facts.name)}",
        ]
    )


def citations(facts: Facts) -> str:
    """BibTeX of the paper that the question is of, and of this program."""
    version = facts.environment.get("packages", {}).get("scalesearch") or ""
    commit = facts.environment["commit"]
    note = f",\n  note    = {{commit {commit}}}" if commit else ""
    return f"{PAPER}\n\n{OURS.format(version=version, commit=note)}"

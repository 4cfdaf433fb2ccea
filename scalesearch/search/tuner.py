"""The loop of a search: what may be trained goes to the workers, what comes of it into the study.

The engine is the study's only writer. An outcome is on record before anything follows from it;
whatever moment the engine dies at, another one that is given the same study goes on from there.
"""

from bisect import insort
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna

from scalesearch.config.experiment import Experiment
from scalesearch.config.search_spec import FailureLimit
from scalesearch.errors import SearchError
from scalesearch.search import study as study_store
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.design import PlannedTrial
from scalesearch.search.jobs import Failure, Job, JobKey, Outcome, job_name
from scalesearch.search.results_writer import ResultsWriter
from scalesearch.search.samplers import Observation, sampler_observations
from scalesearch.search.stopping import StoppingCriteria
from scalesearch.search.study.search_trial import SearchTrial
from scalesearch.search.successive_halving import SuccessiveHalving
from scalesearch.search.trial_progress import Decision, JobSpec
from scalesearch.search.worker_pool import WorkerPool

FATAL = ("data", "bug")
"""Failures that any other candidate would meet as well."""
POLL_SECONDS = 1.0


class SearchFailed(SearchError):
    """A search that was stopped by what no other candidate would have been spared."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that is with a worker, and since when by the crew's clock."""

    job: Job
    job_spec: JobSpec
    started_at: float


class Tuner:
    """One driver's work on a study.

    ``assign``: the job of a task. ``notebook``: where projections are written, if anywhere.
    ``forget``: called for a candidate that has ended. ``halt``: called once, when nothing more is
    to be begun and what is under way is to come to a checkpoint.
    """

    def __init__(
        self,
        experiment: Experiment,
        source: CandidateSource,
        halving: SuccessiveHalving,
        study: optuna.Study,
        pool: WorkerPool,
        make_job: Callable[[SearchTrial, JobSpec], Job],
        writer: ResultsWriter | None = None,
        remove_checkpoints: Callable[[SearchTrial], None] = lambda trial: None,
        on_halt: Callable[[], None] = lambda: None,
    ) -> None:
        self.experiment = experiment
        self.source = source
        self.halving = halving
        self.study = study
        self.pool = pool
        self.make_job = make_job
        self.writer = writer
        self.remove_checkpoints = remove_checkpoints
        self.on_halt = on_halt
        self.trials: dict[int, SearchTrial] = {}
        self.trials_in_order: list[SearchTrial] = []  # of their numbers
        self.pending: OrderedDict[int, tuple[PlannedTrial, dict[str, object] | None]] = (
            OrderedDict()
        )
        self.seen_fingerprints: set[str] = set()
        self.running: dict[JobKey, RunningJob] = {}
        self.round_index = 0
        self.is_exhausted = False
        self.is_halted = False
        self.fatal: tuple[Failure, Job] | None = None
        self.duplicate_outcomes = 0
        self.resumed_epochs = 0
        self.finished_trials: list[SearchTrial] = []
        self.failure_counts: Counter[str] = Counter()
        self.stopping_criteria = StoppingCriteria(experiment, pool.now())

    # --- from the outside ----------------------------------------------------------------------

    def run(self) -> Iterator[None]:
        """Bring the search to its end; pauses after whatever has happened, and once a second."""
        self._restore()
        self.stopping_criteria.check_results(self.trials_in_order, self.halving.config.last_epoch)
        while True:
            self._tell_finished_trials()
            may_submit_more = not self.stopping and self._submit_jobs()
            if self.stopping:
                self.halt()
            if not self.running and not may_submit_more:
                if self.stopping or not self._finish_waiting_trials():
                    break
                continue
            self._collect_outcomes()
            yield
        if self.writer:
            self.writer.write(self.trials_in_order, force=True)
        if self.fatal:
            raise SearchFailed(self._failure_message(*self.fatal))

    def halt(self) -> None:
        """Begin nothing more; what is under way comes to a checkpoint."""
        if not self.is_halted:
            self.is_halted = True
            self.on_halt()

    @property
    def stopping(self) -> bool:
        """Whether nothing more is begun."""
        return self.is_halted or self.fatal is not None or bool(self.stopping_criteria.reason)

    # --- candidates ----------------------------------------------------------------------------

    def _restore(self) -> None:
        """Be where the study is."""
        for trial in study_store.read_trials(self.study):
            index = self.source.index_of(trial.cells)
            if index is not None:
                self._add_trial(index, trial)
                self.seen_fingerprints.add(trial.candidate)
                self.stopping_criteria.count_epochs(trial.rows, trial.tuning)
                if trial.state == "failed":
                    self.failure_counts[trial.failure_kind] += 1
                if trial.state == "running":
                    self._report_all_means(trial)
                else:
                    self.remove_checkpoints(
                        trial
                    )  # what a driver that died between the two has left
        self.resumed_epochs = self.stopping_criteria.epochs
        last_round = max((self.source.round_of(place) for place in self.trials), default=-1)
        # A cohort of which something was opened again is decided on before what came after it.
        while self.round_index <= last_round and self._start_next_round():
            self._tell_finished_trials()

    def _start_next_round(self) -> bool:
        """Let the next candidates in, if it is their time."""
        previous_round = self.round_index - 1
        if self.is_exhausted or not (
            self.experiment.search.asynchronous
            or previous_round < 0
            or self.halving.is_round_finished(previous_round)
        ):
            return False
        self._add_round()
        return not self.is_exhausted

    def _add_round(self) -> None:
        indices = self.source.indices_of_round(self.round_index)
        added = [index for index in indices if self._add_candidate(index)]
        if not added:
            self.is_exhausted = True
            return
        self.halving.start_round(self.round_index)
        self.round_index += 1

    def _add_candidate(self, index: int) -> bool:
        """Enter one candidate in the schedule; the study learns of it with its first job."""
        trial = self.trials.get(index)
        if trial is None:
            if index < len(self.source.planned):
                self.pending[index] = (self.source.planned[index], None)
            else:
                observations = self._observations() if self.source.is_learning else []
                proposed = self.source.propose(index, observations, self.seen_fingerprints)
                if proposed is None:
                    return False
                self.pending[index] = proposed
            planned = self.pending[index][0]
            self.seen_fingerprints.add(planned.candidate.fingerprint)
            roles = planned.role.split("+")
        else:
            roles = str(trial.candidate_columns["role"]).split("+")
        self.halving.add_trial(
            index,
            self.round_index,
            is_searched="searched" in roles,
            is_reference=roles != ["searched"],
            accuracies={} if trial is None else accuracies_by_seed(trial),
            is_tuned=trial is not None and trial.tuning is not None,
            state="running" if trial is None else trial.state,
        )
        return True

    def _observations(self) -> list[Observation]:
        pending_candidates = {
            index: planned.candidate for index, (planned, _) in self.pending.items()
        }
        cost = self.experiment.search.against
        return sampler_observations(
            self.trials, pending_candidates, set(self.halving.config.rungs), cost
        )

    def _stored_trial(self, index: int) -> SearchTrial:
        """The study's entry of a candidate. Earlier ones of its cohort are entered before it, so
        that numbers do not depend on who is trained first; and all of what a sampler has learned
        to propose, which it would not propose again when it knows how one of them ended."""
        if index not in self.trials:
            while self.pending and (next(iter(self.pending)) <= index or self.source.is_learning):
                earlier_index, (planned, proposal_log) = self.pending.popitem(last=False)
                budget = self.experiment.budget
                self._add_trial(
                    earlier_index,
                    study_store.add_trial(self.study, planned, proposal_log, budget=budget),
                )
        return self.trials[index]

    def _add_trial(self, index: int, trial: SearchTrial) -> None:
        self.trials[index] = trial
        insort(self.trials_in_order, trial, key=lambda known: known.number)

    # --- jobs ----------------------------------------------------------------------------------

    def _submit_jobs(self) -> bool:
        """Give every worker something to do; whether there may be more than they can do now."""
        while not self.stopping:
            if len(self.running) >= self.pool.slots:
                # Where all workers are gone, others may come.
                return bool(self.running) or not self.halving.is_idle or self._start_next_round()
            job_spec = self.halving.next_job()
            if job_spec is not None:
                self._submit(job_spec, 0)
            elif not self._start_next_round():
                break
            self._tell_finished_trials()
        return False

    def _finish_waiting_trials(self) -> bool:
        """Nothing is under way and nothing may be trained: whether that leads to anything more."""
        self.halving.stop_waiting_trials()
        return self._tell_finished_trials()

    def _submit(self, job_spec: JobSpec, attempt: int) -> None:
        job = replace(self.make_job(self._stored_trial(job_spec.trial), job_spec), attempt=attempt)
        self.running[job.key] = RunningJob(job, job_spec, self.pool.now())
        self.pool.submit(job)

    def _collect_outcomes(self) -> None:
        """Wait for outcomes, and give up what takes too long."""
        for outcome in self.pool.collect(POLL_SECONDS):
            self._process_outcome(outcome)
        max_seconds = self.experiment.search.failures.job_seconds
        if max_seconds is None:
            return
        late_jobs = [
            f for f in self.running.values() if self.pool.now() - f.started_at > max_seconds
        ]
        for running_job in late_jobs:
            self.pool.cancel(running_job.job)
            reason = (
                f"{running_job.job.name}: took longer than {max_seconds:g} s (failures.job_seconds)"
            )
            failure = Failure(kind="timeout", reason=reason)
            self._process_outcome(Outcome(key=running_job.job.key, failure=failure))

    def _process_outcome(self, outcome: Outcome) -> None:
        """Write an outcome down, and then let it count."""
        running_job = self.running.pop(outcome.key, None)
        if running_job is None:
            self.duplicate_outcomes += 1  # of a job that another attempt has brought to its end
            return
        job_spec, trial = running_job.job_spec, self.trials[running_job.job_spec.trial]
        self._record_outcome(job_spec.trial, trial, outcome)
        if self.writer:
            self.writer.write_outcome(running_job.job, outcome)
        failure = outcome.failure
        if failure is None and not outcome.rows and outcome.tuning is None:
            # Or a worker that never trains anything would be asked for ever.
            failure = Failure(
                kind="worker_lost", reason=f"{running_job.job.name}: nothing came of it"
            )
        if failure is not None:
            self._handle_failure(running_job, failure)
        else:
            self.halving.finish_job(job_spec)

    def _record_outcome(self, index: int, trial: SearchTrial, outcome: Outcome) -> None:
        new_rows: dict[tuple[int, int], dict[str, Any]] = {}
        for row in outcome.rows:
            if (row["seed"], row["epoch"]) not in trial.recorded_epochs:
                new_rows.setdefault((row["seed"], row["epoch"]), row)
        if new_rows:
            attribute_name = job_name(outcome.key).partition(" ")[2]
            study_store.record_outcome(
                self.study, trial, list(new_rows.values()), attribute_name=attribute_name
            )
        if outcome.tuning is not None and trial.tuning is None:
            study_store.record_tuning(self.study, trial, outcome.tuning)
            self.stopping_criteria.count_epochs((), outcome.tuning)
        self.stopping_criteria.count_epochs(new_rows.values())
        for (seed, epoch), row in new_rows.items():
            self.halving.report(index, seed, epoch, row["accuracy"])
        self._report_means(trial, {epoch for _, epoch in new_rows})

    def _report_means(self, trial: SearchTrial, epochs: set[int]) -> None:
        """Tell the mean of an epoch when every seed that was begun has reached it."""
        started_seeds = {seed for seed, _ in trial.recorded_epochs}
        accuracies = {(row["seed"], row["epoch"]): row["accuracy"] for row in trial.rows}
        for epoch in sorted(epochs):
            values_by_seed = [accuracies.get((seed, epoch)) for seed in sorted(started_seeds)]
            values = [value for value in values_by_seed if value is not None]
            if len(values) == len(started_seeds):
                study_store.report_mean(self.study, trial, epoch, sum(values) / len(values))

    def _report_all_means(self, trial: SearchTrial) -> None:
        """Tell what is on record and may not have been told."""
        for epoch, mean in study_store.mean_accuracies(trial.rows).items():
            study_store.report_mean(self.study, trial, epoch, mean)

    def _handle_failure(self, running_job: RunningJob, failure: Failure) -> None:
        """Try again, give the candidate up, or stop: by the class of the failure."""
        if failure.kind in FATAL:
            self.fatal = self.fatal or (failure, running_job.job)
            return
        tolerance = self._tolerance(failure.kind)
        if running_job.job.attempt < tolerance.retries:
            if not self.stopping:
                self._submit(
                    self.halving.remaining_job(running_job.job_spec), running_job.job.attempt + 1
                )
            return
        self.halving.fail_job(running_job.job_spec, failure.kind, failure.reason)

    def _tolerance(self, kind: str) -> FailureLimit:
        tolerance: FailureLimit = getattr(self.experiment.search.failures, kind)
        return tolerance

    # --- ends ----------------------------------------------------------------------------------

    def _tell_finished_trials(self) -> bool:
        """Write down who has ended; whether anybody has."""
        decisions = self.halving.decisions()
        for decision in decisions:
            self._finish_trial(decision)
        if decisions and not self.stopping_criteria.reason:
            self.stopping_criteria.check_results(
                self.trials_in_order, self.halving.config.last_epoch
            )
        self.stopping_criteria.check_budget(self.pool.now())
        if decisions and self.writer:
            self.writer.write(self.trials_in_order)
        return bool(decisions)

    def _finish_trial(self, decision: Decision) -> None:
        trial = self._stored_trial(decision.trial)
        if decision.state == "failed":
            study_store.tell_failed(self.study, trial, decision.kind, decision.reason)
            self._count_failed(decision.kind)
        elif decision.state == "stopped":
            self._report_final_mean(trial)
            study_store.tell_stopped(self.study, trial, decision.reason)
        else:
            value = self._report_final_mean(trial)
            cost = self.experiment.search.against
            values = [value, *([float(trial.candidate_columns[cost])] if cost else [])]
            study_store.tell_complete(self.study, trial, values, reason=decision.reason)
        self.finished_trials.append(trial)
        self.remove_checkpoints(trial)

    def _report_final_mean(self, trial: SearchTrial) -> float:
        """Mean over all seeds at the last epoch that all of them have reached, told as such."""
        seeds = sorted({seed for seed, _ in trial.recorded_epochs})
        last_epoch = min(max(row["epoch"] for row in trial.rows_of_seed(seed)) for seed in seeds)
        values = [trial.rows_of_seed(seed)[last_epoch - 1]["accuracy"] for seed in seeds]
        mean = float(sum(values) / len(values))
        study_store.report_mean(self.study, trial, last_epoch, mean)
        return mean

    def _count_failed(self, kind: str) -> None:
        """Stop where a class of failures has taken more candidates than it may."""
        self.failure_counts[kind] += 1
        max_candidates = self._tolerance(kind).candidates
        if max_candidates is not None and self.failure_counts[kind] > max_candidates:
            self.stopping_criteria.stop(
                f"{self.failure_counts[kind]} candidates failed as {kind}, and {max_candidates} may "
                f"(search.failures.{kind}.candidates): look into it, then `scalesearch retry`"
            )

    def _failure_message(self, failure: Failure, job: Job) -> str:
        """What stopped the search, and what to do about it."""
        hint = f"; all of it is in {self.writer.traceback_path(job)}" if self.writer else ""
        if failure.kind == "bug":
            message = f"{job.name}: a bug of ours or of the baseline's code: {failure.reason}{hint}"
        else:
            message = f"{job.name}: {failure.reason}"
        return f"{message}; nothing recorded is lost: mend it, and the same command goes on"


def accuracies_by_seed(trial: SearchTrial) -> dict[int, Sequence[float]]:
    """Each seed's accuracies from its first epoch on."""
    seeds = sorted({seed for seed, _ in trial.recorded_epochs})
    return {seed: [float(row["accuracy"]) for row in trial.rows_of_seed(seed)] for seed in seeds}

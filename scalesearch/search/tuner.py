"""The loop of a search: submit jobs, record outcomes, decide, tell Optuna."""

from bisect import insort
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import optuna

from scalesearch.config.experiment import Experiment
from scalesearch.config.search_spec import FailureLimit
from scalesearch.errors import SearchError
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.design import PlannedTrial
from scalesearch.search.halving_state import Decision, HalvingTrial, JobSpec
from scalesearch.search.jobs import Failure, Job, JobKey, Outcome, job_name
from scalesearch.search.results_writer import ResultsWriter
from scalesearch.search.samplers import Observation, sampler_observations
from scalesearch.search.stopping import StoppingCriteria
from scalesearch.search.study.search_trial import SearchTrial, mean_accuracies, read_trials
from scalesearch.search.study.writing import (
    add_trial,
    record_outcome,
    record_tuning,
    report_mean,
    tell_complete,
    tell_failed,
    tell_stopped,
)
from scalesearch.search.successive_halving import SuccessiveHalving, round_trial
from scalesearch.search.worker_pool import WorkerPool

FATAL_KINDS = ("data", "bug")
"""Kinds of failures that would affect every candidate."""
POLL_SECONDS = 1.0


class SearchFailed(SearchError):
    """Raised for an error that would affect every candidate."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker has."""

    job: Job
    started_at: float
    """Seconds by the clock of the worker pool."""


class Tuner:
    """Run the trials of a search: submit jobs, record outcomes, decide, tell Optuna.

    The tuner is the study's only writer, and records an outcome before anything follows from it.
    A new tuner on the same study therefore continues where this one died.

    ``make_job`` completes a job that the halving asks for. ``writer`` writes the results folder.
    ``remove_checkpoints`` is called for every trial that has ended; ``on_halt`` once, when no
    further job starts and the running ones should end at their next checkpoint.
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
        self.trials_in_order: list[SearchTrial] = []  # by number
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

    def run(self) -> Iterator[None]:
        """Run until the search ends; yield after every event and at least once a second."""
        self._restore()
        while self._has_work():
            for outcome in self.pool.collect(POLL_SECONDS):
                self._process_outcome(outcome)
            self._cancel_late_jobs()
            yield
        if self.writer:
            self.writer.write(self.trials_in_order, force=True)
        if self.fatal:
            raise SearchFailed(self._failure_message(*self.fatal))

    def halt(self) -> None:
        """Start no further job; let the running ones end at their next checkpoint."""
        if not self.is_halted:
            self.is_halted = True
            self.on_halt()

    @property
    def stopping(self) -> bool:
        """Whether no further job starts."""
        return self.is_halted or self.fatal is not None or bool(self.stopping_criteria.reason)

    def _restore(self) -> None:
        """Restore the state from the study."""
        for trial in read_trials(self.study):
            index = self.source.index_of(trial.cells)
            if index is not None:
                self._restore_trial(index, trial)
        self.resumed_epochs = self.stopping_criteria.epochs
        last_round = max((self.source.round_of(index) for index in self.trials), default=-1)
        # A round with a reopened trial is decided before the rounds after it.
        while self.round_index <= last_round and self._start_next_round():
            self._tell_finished_trials()
        self.stopping_criteria.check_results(self.trials_in_order, self.halving.config.last_epoch)

    def _restore_trial(self, index: int, trial: SearchTrial) -> None:
        self._add_trial(index, trial)
        self.seen_fingerprints.add(trial.candidate)
        self.stopping_criteria.count_epochs(trial.rows, trial.tuning)
        if trial.state == "failed":
            self.failure_counts[trial.failure_kind] += 1
        if trial.state == "running":
            self._report_all_means(trial)
        else:
            self.remove_checkpoints(trial)  # a driver that died may have left them

    # --- rounds and trials ---------------------------------------------------------------------

    def _start_next_round(self) -> bool:
        """Start the next round if it is due; return whether it has any trials."""
        if self.is_exhausted or not self.halving.may_start_round(self.round_index):
            return False
        trials: list[HalvingTrial] = []
        for index in self.source.indices_of_round(self.round_index):
            role = self._role_or_proposal(index)
            if role is not None:
                trials.append(round_trial(index, role, self.trials.get(index)))
        if not trials:
            self.is_exhausted = True
            return False
        self.halving.start_round(self.round_index, trials)
        self.round_index += 1
        return True

    def _role_or_proposal(self, index: int) -> str | None:
        """Return the role of a trial; propose the trial first if it is new.

        A new trial is pending until its first job adds it to the study. None where the sampler has
        no candidate left.
        """
        if index in self.trials:
            return str(self.trials[index].candidate_columns["role"])
        if index < len(self.source.planned):
            self.pending[index] = (self.source.planned[index], None)
        else:
            observations = self._observations() if self.source.is_learning else []
            proposed = self.source.propose(index, observations, self.seen_fingerprints)
            if proposed is None:
                return None
            self.pending[index] = proposed
        planned, _ = self.pending[index]
        self.seen_fingerprints.add(planned.candidate.fingerprint)
        return planned.role

    def _observations(self) -> list[Observation]:
        pending_candidates = {
            index: planned.candidate for index, (planned, _) in self.pending.items()
        }
        cost = self.experiment.search.against
        return sampler_observations(
            self.trials, pending_candidates, set(self.halving.config.rungs), cost
        )

    def _stored_trial(self, index: int) -> SearchTrial:
        """Return the trial in the study, and add it there first if it is pending.

        Earlier trials of its round are added before it, so that numbers do not depend on which is
        trained first. A learning sampler's proposals are added together, as it would propose others
        once one of them has ended.
        """
        if index not in self.trials:
            while self.pending and (next(iter(self.pending)) <= index or self.source.is_learning):
                earlier_index, (planned, proposal_log) = self.pending.popitem(last=False)
                budget = self.experiment.budget
                self._add_trial(
                    earlier_index,
                    add_trial(self.study, planned, proposal_log, budget=budget),
                )
        return self.trials[index]

    def _add_trial(self, index: int, trial: SearchTrial) -> None:
        self.trials[index] = trial
        insort(self.trials_in_order, trial, key=lambda trial: trial.number)

    # --- jobs ----------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        """Tell finished trials, submit jobs, and return whether there is work left."""
        while True:
            self._tell_finished_trials()
            may_submit_more = not self.stopping and self._submit_jobs()
            if self.stopping:
                self.halt()
            if self.running or may_submit_more:
                return True
            if self.stopping or not self._finish_waiting_trials():
                return False

    def _submit_jobs(self) -> bool:
        """Keep every worker busy; return whether there may be more jobs than workers."""
        while not self.stopping:
            if len(self.running) >= self.pool.slots:
                # With no worker left, the search waits for new ones.
                return bool(self.running) or not self.halving.is_idle or self._start_next_round()
            spec = self.halving.next_job()
            if spec is not None:
                self._submit(self.make_job(self._stored_trial(spec.trial), spec))
            elif not self._start_next_round():
                break
            self._tell_finished_trials()
        return False

    def _finish_waiting_trials(self) -> bool:
        """Stop the trials that still wait at a rung; return whether any did."""
        self.halving.stop_waiting_trials()
        return self._tell_finished_trials()

    def _submit(self, job: Job) -> None:
        self.running[job.key] = RunningJob(job, self.pool.now())
        self.pool.submit(job)

    def _cancel_late_jobs(self) -> None:
        """Cancel the jobs that take longer than the experiment allows."""
        max_seconds = self.experiment.search.failures.job_seconds
        if max_seconds is None:
            return
        now = self.pool.now()
        late_jobs = [
            running.job
            for running in self.running.values()
            if now - running.started_at > max_seconds
        ]
        for job in late_jobs:
            self.pool.cancel(job)
            reason = f"{job.name}: took longer than {max_seconds:g} s (failures.job_seconds)"
            failure = Failure(kind="timeout", reason=reason)
            self._process_outcome(Outcome(key=job.key, failure=failure))

    def _process_outcome(self, outcome: Outcome) -> None:
        """Record an outcome, then report it to the halving."""
        running_job = self.running.pop(outcome.key, None)
        if running_job is None:
            self.duplicate_outcomes += 1  # another attempt has ended this job
            return
        job = running_job.job
        self._record_outcome(job.trial, self.trials[job.trial], outcome)
        if self.writer:
            self.writer.write_outcome(job, outcome)
        failure = outcome.failure
        if failure is None and not outcome.rows and outcome.tuning is None:
            # Without this, a worker that never trains would be given the job for ever.
            failure = Failure(
                kind="worker_lost", reason=f"{job.name}: the worker returned no epochs and no error"
            )
        if failure is not None:
            self._handle_failure(job, failure)
        else:
            self.halving.finish_job(job)

    def _record_outcome(self, index: int, trial: SearchTrial, outcome: Outcome) -> None:
        new_rows: dict[tuple[int, int], dict[str, Any]] = {}
        for row in outcome.rows:
            if (row["seed"], row["epoch"]) not in trial.recorded_epochs:
                new_rows.setdefault((row["seed"], row["epoch"]), row)
        if new_rows:
            attribute_name = job_name(outcome.key).partition(" ")[2]
            record_outcome(
                self.study, trial, list(new_rows.values()), attribute_name=attribute_name
            )
        if outcome.tuning is not None and trial.tuning is None:
            record_tuning(self.study, trial, outcome.tuning)
            self.stopping_criteria.count_epochs((), outcome.tuning)
        self.stopping_criteria.count_epochs(new_rows.values())
        for (seed, epoch), row in new_rows.items():
            self.halving.report(index, seed, epoch, row["accuracy"])
        self._report_means(trial, {epoch for _, epoch in new_rows})

    def _report_means(self, trial: SearchTrial, epochs: set[int]) -> None:
        """Report the mean of an epoch once every seed that has started has reached it."""
        started_seeds = {seed for seed, _ in trial.recorded_epochs}
        accuracies = {(row["seed"], row["epoch"]): row["accuracy"] for row in trial.rows}
        for epoch in sorted(epochs):
            values_by_seed = [accuracies.get((seed, epoch)) for seed in sorted(started_seeds)]
            values = [value for value in values_by_seed if value is not None]
            if len(values) == len(started_seeds):
                report_mean(self.study, trial, epoch, sum(values) / len(values))

    def _report_all_means(self, trial: SearchTrial) -> None:
        """Report the means on record, which a driver that died may not have reported."""
        for epoch, mean in mean_accuracies(trial.rows).items():
            report_mean(self.study, trial, epoch, mean)

    def _handle_failure(self, job: Job, failure: Failure) -> None:
        """Try the job again, give it up, or stop the search, by the kind of the failure."""
        if failure.kind in FATAL_KINDS:
            self.fatal = self.fatal or (failure, job)
        elif job.attempt >= self._limit(failure.kind).retries:
            self.halving.fail_job(job, failure.kind, failure.reason)
        elif not self.stopping:
            self._submit(replace(self.halving.remaining_job(job), attempt=job.attempt + 1))

    def _limit(self, kind: str) -> FailureLimit:
        limit: FailureLimit = getattr(self.experiment.search.failures, kind)
        return limit

    # --- trials that have ended ----------------------------------------------------------------

    def _tell_finished_trials(self) -> bool:
        """Tell the study about the trials that have ended; return whether there are any."""
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
            tell_failed(self.study, trial, decision.kind, decision.reason)
            self._count_failed(decision.kind)
        elif decision.state == "stopped":
            self._report_final_mean(trial)
            tell_stopped(self.study, trial, decision.reason)
        else:
            value = self._report_final_mean(trial)
            cost = self.experiment.search.against
            values = [value, *([float(trial.candidate_columns[cost])] if cost else [])]
            tell_complete(self.study, trial, values, reason=decision.reason)
        self.finished_trials.append(trial)
        self.remove_checkpoints(trial)

    def _report_final_mean(self, trial: SearchTrial) -> float:
        """Report and return the mean of all seeds at their last common epoch."""
        seeds = sorted({seed for seed, _ in trial.recorded_epochs})
        last_epoch = min(max(row["epoch"] for row in trial.rows_of_seed(seed)) for seed in seeds)
        values = [trial.rows_of_seed(seed)[last_epoch - 1]["accuracy"] for seed in seeds]
        mean = float(sum(values) / len(values))
        report_mean(self.study, trial, last_epoch, mean)
        return mean

    def _count_failed(self, kind: str) -> None:
        """Count a failed trial, and stop the search where its kind has more than allowed."""
        self.failure_counts[kind] += 1
        count, limit = self.failure_counts[kind], self._limit(kind).candidates
        if limit is not None and count > limit:
            self.stopping_criteria.stop(
                f"{count} candidates failed as {kind}, and {limit} may "
                f"(search.failures.{kind}.candidates): look into it, then `scalesearch retry`"
            )

    def _failure_message(self, failure: Failure, job: Job) -> str:
        """Message for people: what stopped the search, and what to do about it."""
        if failure.kind == "bug":
            path = f"; traceback in {self.writer.traceback_path(job)}" if self.writer else ""
            cause = "a bug in scalesearch or in the baseline's code"
            message = f"{job.name}: {cause}: {failure.reason}{path}"
        else:
            message = f"{job.name}: {failure.reason}"
        return f"{message}; all recorded epochs are safe: fix it and run the same command again"

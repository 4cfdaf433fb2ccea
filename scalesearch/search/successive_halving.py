"""Successive halving over rungs, with a race of seeds.

Pure: no network, no clock, no file. A synchronous search decides about a round when all of it has
arrived, so the same reports in another order give the same decisions. Given what the study has on
record, a new object continues where the old one was.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Self, TypeVar

from scalesearch.analysis.paired import may_still_win
from scalesearch.config.experiment import Experiment
from scalesearch.search.candidate_source import HISTORY_PRUNERS
from scalesearch.search.halving_state import (
    Decision,
    HalvingConfig,
    HalvingTrial,
    JobSpec,
    Rung,
    SearchTrialState,
)
from scalesearch.search.pruners import OptunaPruner, Pruner
from scalesearch.search.study.search_trial import SearchTrial

RACE_LEVEL = 0.1
"""Probability of losing the best trial in the race of seeds, over all its tests together."""


AnyJob = TypeVar("AnyJob", bound=JobSpec)


def round_trial(
    index: int, role: str, stored: SearchTrial | None, state: SearchTrialState | None = None
) -> HalvingTrial:
    """Return a trial for a round, with what the study has on record about it.

    ``state``: by default the state on record.
    """
    if stored is None:
        return HalvingTrial(index, role)
    seeds = sorted({seed for seed, _ in stored.recorded_epochs})
    accuracies = {
        seed: [float(row["accuracy"]) for row in stored.rows_of_seed(seed)] for seed in seeds
    }
    return HalvingTrial(index, role, accuracies, stored.tuning is not None, state or stored.state)


class SuccessiveHalving:
    """The states of all trials: jobs to run, reports of accuracy, decisions."""

    def __init__(self, config: HalvingConfig, pruner: Pruner | None = None) -> None:
        self.config = config
        self.pruner = pruner
        self.trials: dict[int, HalvingTrial] = {}
        self.rounds: dict[int, list[HalvingTrial]] = {}
        self.running_trials: set[int] = set()
        self.rungs = {rung: Rung() for rung in config.rungs}
        self._job_queue: list[tuple[tuple[int, int, int, int], JobSpec]] = []
        self._decisions: list[Decision] = []
        self._awaited_per_round: dict[int, int] = {}
        self._running_per_round: Counter[int] = Counter()

    @classmethod
    def from_experiment(cls, experiment: Experiment) -> Self:
        """Return the halving that an experiment asks for, without any trial."""
        search = experiment.search
        has_optuna_pruner = search.pruner in HISTORY_PRUNERS
        pruner = (
            OptunaPruner(search.pruner, experiment.rungs, search.eta) if has_optuna_pruner else None
        )
        return cls(HalvingConfig.from_experiment(experiment), pruner)

    def start_round(self, round_index: int, trials: Iterable[HalvingTrial]) -> None:
        """Enter the trials of a round and queue their jobs."""
        for trial in trials:
            self._add_trial(trial, round_index)
        trials_of_round = self.rounds[round_index]
        self._awaited_per_round[round_index] = self._awaited_count(round_index)
        for trial in trials_of_round:
            if trial.state == "running":
                self._queue_jobs(trial, trial.target_epochs)
        if self._awaited_per_round[round_index] == 0:
            self._replay_to_pruner(round_index)
        for trial in trials_of_round:
            if self.config.asynchronous and trial.state != "running":
                self._promote_waiting()
            self._update_state(trial)

    def may_start_round(self, round_index: int) -> bool:
        """Whether the round before is over, or need not be."""
        return (
            self.config.asynchronous or round_index == 0 or self.is_round_finished(round_index - 1)
        )

    def report(self, index: int, seed: int, epoch: int, accuracy: float) -> None:
        """Report that a seed of a trial has been trained to this epoch."""
        self._record_accuracy(self.trials[index], seed, epoch, accuracy)
        if epoch in self.rungs:
            self._update_rungs(self.trials[index])

    def finish_job(self, job: JobSpec) -> None:
        """Mark a job as finished; if it was halted before its end, queue the rest."""
        trial = self.trials[job.trial]
        trial.busy_seeds -= set(job.seeds)
        if job.sweep:
            trial.is_tuned = True
        if trial.state == "running":
            self._queue_jobs(trial, trial.target_epochs if job.sweep else job.seeds)
        self._update_state(trial)

    def fail_job(self, job: JobSpec, kind: str, reason: str) -> None:
        """Give a job up.

        Its trial fails once the jobs of its other seeds have ended, so that the order in which
        they end does not matter.
        """
        trial = self.trials[job.trial]
        trial.busy_seeds -= set(job.seeds)
        trial.lost_seeds |= set(job.seeds)
        if trial.failure is None or job.seeds < trial.failure[0].seeds:
            trial.failure = (job, kind, reason)
        self._update_state(trial)

    def remaining_job(self, job: AnyJob) -> AnyJob:
        """Return the part of a lost job that is not on record."""
        reached = self.trials[job.trial].reached_epochs
        return replace(job, start=min(reached.get(seed, 0) for seed in job.seeds))

    def stop_waiting_trials(self) -> None:
        """Stop the trials that wait at a rung, as no job runs and no further trial comes."""
        for index in sorted(self.running_trials):
            trial = self.trials[index]
            if trial.has_arrived and not trial.busy_seeds:
                self._finish_trial(trial, "stopped", self._stop_reason(trial))

    def next_job(self) -> JobSpec | None:
        """Take the next job from the queue; None where it is empty."""
        return heapq.heappop(self._job_queue)[1] if self._job_queue else None

    @property
    def is_idle(self) -> bool:
        """Whether no job is queued."""
        return not self._job_queue

    def decisions(self) -> list[Decision]:
        """Take the decisions since the last call, in the order of the trials."""
        decisions = sorted(self._decisions, key=lambda decision: decision.trial)
        self._decisions = []
        return decisions

    def is_round_finished(self, round_index: int) -> bool:
        """Whether every trial of a round has ended."""
        return self._running_per_round[round_index] == 0

    def _add_trial(self, trial: HalvingTrial, round_index: int) -> None:
        config = self.config
        trial.round_index = round_index
        trial.is_tuned = trial.is_tuned or not config.tune_learning_rate
        for seed, accuracies in trial.accuracies.items():
            for epoch, accuracy in enumerate(accuracies, start=1):
                self._record_accuracy(trial, seed, epoch, accuracy)
        self.trials[trial.index] = trial
        self.rounds.setdefault(round_index, []).append(trial)
        self._update_rungs(trial)
        if trial.state != "running":
            return
        self.running_trials.add(trial.index)
        self._running_per_round[round_index] += 1
        if trial.is_reference:
            trial.allow(config.seeds, config.last_epoch)
        if trial.is_searched:
            trial.allow(*config.seeds_and_epoch(0))

    def _record_accuracy(self, trial: HalvingTrial, seed: int, epoch: int, accuracy: float) -> None:
        trial.reached_epochs[seed] = max(epoch, trial.reached_epochs.get(seed, 0))
        if epoch in self.rungs:
            trial.rung_accuracies.setdefault(epoch, {})[seed] = accuracy

    def _queue_jobs(self, trial: HalvingTrial, seeds: Iterable[int]) -> None:
        for job in list(trial.next_jobs(seeds, self.config)):
            # Jobs that a round waits for come before jobs that nothing waits for.
            is_awaited = trial.is_searched and job.seeds[0] in self.config.initial_seeds
            depth_first_order = -job.stop if self.config.asynchronous else 0
            order = (
                int(trial.is_reference and not is_awaited),
                depth_first_order,
                trial.index,
                job.seeds[0],
            )
            heapq.heappush(self._job_queue, (order, job))
            trial.busy_seeds |= set(job.seeds)

    def _update_rungs(self, trial: HalvingTrial) -> None:
        """Add a trial to the rungs that all its initial seeds have reached."""
        if not trial.is_searched:
            return
        for epoch, rung in self.rungs.items():
            accuracy = trial.mean_accuracy(epoch, self.config.initial_seeds)
            if accuracy is not None:
                rung.add(trial.index, accuracy)

    def _update_state(self, trial: HalvingTrial) -> None:
        """Finish a trial, or count its arrival at its stage, if it is there."""
        if trial.state != "running":
            return
        if trial.failure is not None:
            if not trial.busy_seeds:
                _, kind, reason = trial.failure
                is_awaited = trial.is_searched and not trial.has_arrived
                self._finish_trial(trial, "failed", reason, kind)
                self._count_arrivals(trial.round_index, int(is_awaited))
        elif trial.stage == self.config.stage_count or not trial.is_searched:
            if trial.is_done:
                self._finish_trial(trial, "complete")
        elif not trial.has_arrived and trial.has_reached(*self.config.seeds_and_epoch(trial.stage)):
            trial.has_arrived = True
            if self.config.asynchronous:
                self._decide([trial])
            else:
                self._count_arrivals(trial.round_index, 1)

    def _awaited_count(self, round_index: int) -> int:
        """Count the trials of a round that have not arrived at their stage."""
        return sum(
            trial.is_searched
            and trial.state == "running"
            and not trial.has_arrived
            and trial.stage < self.config.stage_count
            for trial in self.rounds[round_index]
        )

    def _count_arrivals(self, round_index: int, arrived: int) -> None:
        """Decide about a round when all of it has arrived."""
        if self.config.asynchronous or not arrived:
            return
        self._awaited_per_round[round_index] -= arrived
        if self._awaited_per_round[round_index] == 0:
            arrived_trials = [
                trial
                for trial in self.rounds[round_index]
                if trial.state == "running" and trial.has_arrived
            ]
            self._decide(arrived_trials)
            self._awaited_per_round[round_index] = self._awaited_count(round_index)
            for trial in arrived_trials:
                self._update_state(trial)

    def _decide(self, arrived: Sequence[HalvingTrial]) -> None:
        """Decide which of the trials at one stage continue."""
        if not arrived:
            return
        if arrived[0].stage < len(self.config.rungs) - 1:
            self._compare_at_rung(arrived)
        else:
            self._race_seeds(arrived)

    def _compare_at_rung(self, arrived: Sequence[HalvingTrial]) -> None:
        """Let the best continue from a rung before the last one."""
        stage, config = arrived[0].stage, self.config
        epoch = config.rungs[stage]
        rung = self.rungs[epoch]
        if self.pruner is not None:
            # A pruner learns from all trials of a round, also from those that have ended on record.
            round_trials = self.rounds[arrived[0].round_index]
            promoted = self._ask_pruner(arrived if config.asynchronous else round_trials, stage)
        elif config.asynchronous:
            # One more trial at a rung lets at most one other trial continue.
            quota = rung.count // config.eta
            indices = {trial.index for trial in arrived} | rung.at_rank(quota)
            promoted = {index for index in indices if rung.rank(index) <= quota}
        else:
            quota = -(-rung.count // config.eta)
            promoted = {trial.index for trial in arrived if rung.rank(trial.index) <= quota}
        # Trials that continued before the driver was started again are already beyond the rung.
        promoted |= {
            trial.index for trial in arrived if trial.is_reference or trial.last_epoch > epoch
        }
        self._promote_all(promoted, stage)
        if self.pruner is not None or not config.asynchronous:
            for trial in arrived:
                if trial.index not in promoted:
                    self._finish_trial(trial, "stopped", self._stop_reason(trial))

    def _promote_all(self, indices: Iterable[int], stage: int) -> None:
        for index in sorted(indices):
            trial = self.trials[index]
            if trial.state == "running" and trial.has_arrived and trial.stage == stage:
                self._promote(trial)

    def _promote_waiting(self) -> None:
        """On resuming, let a waiting trial continue if trials that ended make room."""
        if self.pruner is None:
            for stage, epoch in enumerate(self.config.rungs[:-1]):
                rung = self.rungs[epoch]
                self._promote_all(rung.at_rank(rung.count // self.config.eta), stage)

    def _ask_pruner(self, trials_to_ask: Sequence[HalvingTrial], stage: int) -> set[int]:
        """Report trials to the pruner in their order; return those that it keeps."""
        assert self.pruner is not None
        epoch = self.config.rungs[stage]
        kept = set()
        for trial in sorted(trials_to_ask, key=lambda trial: trial.index):
            if not trial.is_searched:
                continue
            value = trial.mean_accuracy(epoch, self.config.initial_seeds)
            if value is not None and not self.pruner.should_prune(trial.index, epoch, value):
                kept.add(trial.index)
        return kept

    def _replay_to_pruner(self, round_index: int) -> None:
        """Report a round to the pruner that had arrived before this driver started."""
        if self.pruner is not None:
            for stage in range(len(self.config.rungs) - 1):
                self._ask_pruner(self.rounds[round_index], stage)
            if self.is_round_finished(round_index):
                self._tell_pruner(round_index)

    def _race_seeds(self, arrived: Sequence[HalvingTrial]) -> None:
        """At the last rung, give a further seed to the trials that may still win."""
        config = self.config
        seeds, last_epoch = config.seeds_and_epoch(arrived[0].stage)
        remaining_seeds = len(config.seeds) - len(seeds)
        may_win: Mapping[str, bool] = {}
        if remaining_seeds > 0:
            finalists = (self.trials[index] for index in self.rungs[last_epoch].trials)
            accuracies = {
                str(trial.index): {seed: trial.rung_accuracies[last_epoch][seed] for seed in seeds}
                for trial in finalists
                if trial.mean_accuracy(last_epoch, seeds) is not None
            }
            test_count = len(config.seeds) - config.initial_seed_count
            may_win = may_still_win(accuracies, RACE_LEVEL / test_count)
        for trial in arrived:
            if remaining_seeds == 0 or trial.is_reference or may_win[str(trial.index)]:
                self._promote(trial)
            else:
                reason = f"out of the race after {len(seeds)} seeds"
                self._finish_trial(trial, "complete", reason)

    def _promote(self, trial: HalvingTrial) -> None:
        trial.stage += 1
        trial.has_arrived = False
        if trial.stage < self.config.stage_count:
            trial.allow(*self.config.seeds_and_epoch(trial.stage))
            self._queue_jobs(trial, trial.target_epochs)
        if self.config.asynchronous:
            self._update_state(trial)

    def _finish_trial(
        self, trial: HalvingTrial, state: SearchTrialState, reason: str = "", kind: str = ""
    ) -> None:
        trial.state = state
        self.running_trials.discard(trial.index)
        self._running_per_round[trial.round_index] -= 1
        self._decisions.append(Decision(trial.index, state, reason, kind))
        if self.pruner is not None and self.config.asynchronous:
            self.pruner.report_end(trial.index, self._final_accuracy(trial))
        elif self.pruner is not None and self.is_round_finished(trial.round_index):
            self._tell_pruner(trial.round_index)

    def _tell_pruner(self, round_index: int) -> None:
        assert self.pruner is not None
        for trial in sorted(self.rounds[round_index], key=lambda trial: trial.index):
            if trial.is_searched and trial.state != "running":
                self.pruner.report_end(trial.index, self._final_accuracy(trial))

    def _final_accuracy(self, trial: HalvingTrial) -> float | None:
        return trial.mean_accuracy(self.config.last_epoch, self.config.initial_seeds)

    def _stop_reason(self, trial: HalvingTrial) -> str:
        """Why a trial does not continue from its rung; stored in the records."""
        epoch = self.config.rungs[trial.stage]
        if self.pruner is not None:
            return f"stopped by the {self.pruner.name} pruner at epoch {epoch}"
        rung = self.rungs[epoch]
        return f"halved at epoch {epoch}: place {rung.rank(trial.index)} of {rung.count}"

"""Candidates at one rung, the best first.

Who is trained how far: rungs, successive halving and the race of seeds, as a state machine.

It knows numbers alone: no network, no clock, no file. Told the same results in another order, a
synchronous schedule gives the same verdicts, since it decides about a cohort when all of it has
arrived. Told on resuming what the ledger holds, it is where it was.
"""

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from scalesearch.analysis.paired import may_still_win
from scalesearch.search.trial_progress import (
    Decision,
    HalvingConfig,
    JobSpec,
    SearchTrialState,
    TrialProgress,
    past_values,
)


class Rung:
    """Places of candidates ordered by their accuracy; equal ones in order of their places."""

    def __init__(self) -> None:
        self._ranking: list[tuple[float, int]] = []
        self._accuracies: dict[int, float] = {}

    @property
    def count(self) -> int:
        """How many are at this rung."""
        return len(self._ranking)

    @property
    def trials(self) -> list[int]:
        """All of them, the best first."""
        return [trial for _, trial in self._ranking]

    def add(self, trial: int, accuracy: float) -> None:
        """A candidate has reached the rung; who is there already stays where it is."""
        if trial not in self._accuracies:
            self._accuracies[trial] = accuracy
            insort(self._ranking, (-accuracy, trial))

    def rank(self, trial: int) -> int:
        """Counted from 1 for the best."""
        return bisect_left(self._ranking, (-self._accuracies[trial], trial)) + 1

    def at_rank(self, rank: int) -> set[int]:
        """Who has this position, if anybody."""
        return {self._ranking[rank - 1][1]} if 1 <= rank <= self.count else set()


RACE_LEVEL = 0.1
"""Chance of losing the best candidate in the race of seeds, all its looks together."""


class Pruner(Protocol):
    """Decides about candidates at rungs, in place of halving."""

    @property
    def name(self) -> str:
        """For people."""

    def should_prune(self, trial: int, epoch: int, value: float) -> bool:
        """Whether a candidate with this mean accuracy at a rung is to be stopped."""

    def report_end(self, trial: int, value: float | None) -> None:
        """A candidate was trained to the last epoch (None: it was not)."""


class SuccessiveHalving:
    """The state of all candidates of a search, changed by what is told of them."""

    def __init__(self, config: HalvingConfig, pruner: Pruner | None = None) -> None:
        self.config = config
        self.pruner = pruner
        self.progress: dict[int, TrialProgress] = {}
        self.rounds: dict[int, list[TrialProgress]] = {}
        self.running_trials: set[int] = set()
        self.rungs = {rung: Rung() for rung in config.rungs}
        self._job_queue: list[tuple[tuple[int, int, int, int], JobSpec]] = []
        self._decisions: list[Decision] = []
        self._awaited_per_round: dict[int, int] = {}
        self._running_per_round: Counter[int] = Counter()

    def add_trial(
        self,
        trial: int,
        round_index: int,
        *,
        is_searched: bool = True,
        is_reference: bool = False,
        accuracies: Mapping[int, Sequence[float]] | None = None,
        is_tuned: bool = False,
        state: SearchTrialState = "running",
    ) -> None:
        """A candidate of a cohort; ``begin`` follows when all of the cohort are entered.

        ``past``: what the ledger holds, each seed's accuracies from its first epoch on; ``state``:
        how the candidate has ended, if it has.
        """
        config, accuracies = self.config, accuracies or {}
        progress = TrialProgress(
            trial,
            round_index,
            is_searched,
            is_reference,
            is_tuned or not config.tune_learning_rate,
            state,
        )
        progress.reached_epochs = {
            seed: len(seed_accuracies) for seed, seed_accuracies in accuracies.items()
        }
        progress.rung_accuracies = past_values(accuracies, config.rungs)
        self.progress[trial] = progress
        self.rounds.setdefault(round_index, []).append(progress)
        self._update_rungs(progress)
        if state != "running":
            return
        self.running_trials.add(trial)
        self._running_per_round[round_index] += 1
        if is_reference:
            progress.allow(config.seeds, config.last_epoch)
        if is_searched:
            progress.allow(*config.seeds_and_epoch(0))

    def start_round(self, round_index: int) -> None:
        """All of a cohort are entered: what may be trained of it is offered."""
        trials_of_round = self.rounds[round_index]
        self._awaited_per_round[round_index] = self._awaited_count(round_index)
        for progress in trials_of_round:
            if progress.state == "running":
                self._queue_jobs(progress, progress.target_epochs)
        if self._awaited_per_round[round_index] == 0:
            self._replay_to_pruner(round_index)
        for progress in trials_of_round:
            if self.config.asynchronous and progress.state != "running":
                self._promote_waiting()
            self._update_state(progress)

    def report(self, trial: int, seed: int, epoch: int, accuracy: float) -> None:
        """A seed has been trained to this epoch."""
        progress = self.progress[trial]
        progress.reached_epochs[seed] = max(epoch, progress.reached_epochs.get(seed, 0))
        if epoch in self.rungs:
            progress.rung_accuracies.setdefault(epoch, {})[seed] = accuracy
            self._update_rungs(progress)

    def finish_job(self, job_spec: JobSpec) -> None:
        """A task has ended; where it was halted before its end, the rest is offered again."""
        progress = self.progress[job_spec.trial]
        progress.busy_seeds -= set(job_spec.seeds)
        if job_spec.sweep:
            progress.is_tuned = True
        if progress.state == "running":
            self._queue_jobs(progress, progress.target_epochs if job_spec.sweep else job_spec.seeds)
        self._update_state(progress)

    def fail_job(self, job_spec: JobSpec, kind: str, reason: str) -> None:
        """A task cannot be done. Its candidate fails when its other seeds are where they may be
        trained to, so that who was faster does not matter."""
        progress = self.progress[job_spec.trial]
        progress.busy_seeds -= set(job_spec.seeds)
        progress.lost_seeds |= set(job_spec.seeds)
        if progress.failure is None or job_spec.seeds < progress.failure[0].seeds:
            progress.failure = (job_spec, kind, reason)
        self._update_state(progress)

    def remaining_job(self, job_spec: JobSpec) -> JobSpec:
        """What is left of a task that was lost."""
        reached = self.progress[job_spec.trial].reached_epochs
        return replace(job_spec, start=min(reached.get(seed, 0) for seed in job_spec.seeds))

    def stop_waiting_trials(self) -> None:
        """No further candidate comes and nothing is under way: who still waits is stopped."""
        for trial in sorted(self.running_trials):
            progress = self.progress[trial]
            if progress.has_arrived and not progress.busy_seeds:
                self._finish_trial(progress, "stopped", self._stop_reason(progress))

    def next_job(self) -> JobSpec | None:
        """The next task, or None where all that may be trained is under way."""
        return heapq.heappop(self._job_queue)[1] if self._job_queue else None

    @property
    def is_idle(self) -> bool:
        """Whether all that may be trained is under way."""
        return not self._job_queue

    def decisions(self) -> list[Decision]:
        """Who has ended since this was last asked, in the order of their places."""
        decision, self._decisions = sorted(self._decisions, key=lambda told: told.trial), []
        return decision

    def is_round_finished(self, round_index: int) -> bool:
        """Whether every member of a cohort has ended."""
        return self._running_per_round[round_index] == 0

    # What follows from what it is told.

    def _queue_jobs(self, progress: TrialProgress, seeds: Iterable[int]) -> None:
        initial_seeds = self.config.seeds[: self.config.initial_seed_count]
        for job_spec in list(progress.next_jobs(seeds, self.config)):
            # What a cohort waits for comes before what nobody waits for.
            is_awaited = progress.is_searched and job_spec.seeds[0] in initial_seeds
            depth_first_order = -job_spec.stop if self.config.asynchronous else 0
            order = (
                int(progress.is_reference and not is_awaited),
                depth_first_order,
                progress.trial,
                job_spec.seeds[0],
            )
            heapq.heappush(self._job_queue, (order, job_spec))
            progress.busy_seeds |= set(job_spec.seeds)

    def _update_rungs(self, progress: TrialProgress) -> None:
        """Put a candidate on the rungs that all its first seeds have reached."""
        initial_seeds = self.config.seeds[: self.config.initial_seed_count]
        for epoch, rung in self.rungs.items():
            value = progress.mean_accuracy(epoch, initial_seeds) if progress.is_searched else None
            if value is not None:
                rung.add(progress.trial, value)

    def _update_state(self, progress: TrialProgress) -> None:
        """What follows for a candidate from where it is."""
        if progress.state != "running":
            return
        if progress.failure is not None:
            if not progress.busy_seeds:
                _, kind, reason = progress.failure
                is_awaited = progress.is_searched and not progress.has_arrived
                self._finish_trial(progress, "failed", reason, kind)
                self._count_arrivals(progress.round_index, int(is_awaited))
        elif progress.stage == self.config.stage_count or not progress.is_searched:
            if progress.is_done:
                self._finish_trial(progress, "complete")
        elif not progress.has_arrived and progress.has_reached(
            *self.config.seeds_and_epoch(progress.stage)
        ):
            progress.has_arrived = True
            if self.config.asynchronous:
                self._decide([progress])
            else:
                self._count_arrivals(progress.round_index, 1)

    def _awaited_count(self, round_index: int) -> int:
        """How many of a cohort have not arrived at the stage that they are bound for."""
        return sum(
            progress.is_searched
            and progress.state == "running"
            and not progress.has_arrived
            and progress.stage < self.config.stage_count
            for progress in self.rounds[round_index]
        )

    def _count_arrivals(self, round_index: int, arrived: int) -> None:
        """Decide about a cohort when all of it has arrived."""
        if self.config.asynchronous or not arrived:
            return
        self._awaited_per_round[round_index] -= arrived
        if self._awaited_per_round[round_index] == 0:
            arrived_trials = [
                r for r in self.rounds[round_index] if r.state == "running" and r.has_arrived
            ]
            self._decide(arrived_trials)
            self._awaited_per_round[round_index] = self._awaited_count(round_index)
            for progress in arrived_trials:
                self._update_state(progress)

    def _decide(self, arrived: Sequence[TrialProgress]) -> None:
        """Who of those at one stage goes on."""
        if not arrived:
            return
        if arrived[0].stage < len(self.config.rungs) - 1:
            self._compare_at_rung(arrived)
        else:
            self._race_seeds(arrived)

    def _compare_at_rung(self, arrived: Sequence[TrialProgress]) -> None:
        """At a rung before the last, the best go on."""
        stage, config = arrived[0].stage, self.config
        rung = self.rungs[config.rungs[stage]]
        if self.pruner is not None:
            promoted = self._ask_pruner_about_round(arrived, stage)
        elif config.asynchronous:
            # One more at a rung moves at most one other into the part that goes on.
            quota = rung.count // config.eta
            trials = {progress.trial for progress in arrived} | rung.at_rank(quota)
            promoted = {trial for trial in trials if rung.rank(trial) <= quota}
        else:
            quota = -(-rung.count // config.eta)
            promoted = {r.trial for r in arrived if rung.rank(r.trial) <= quota}
        # Beyond the rung is who went on before the driver was started again.
        promoted |= {
            r.trial for r in arrived if r.is_reference or r.last_epoch > config.rungs[stage]
        }
        self._promote_all(promoted, stage)
        if self.pruner is not None or not config.asynchronous:
            for runner in arrived:
                if runner.trial not in promoted:
                    self._finish_trial(runner, "stopped", self._stop_reason(runner))

    def _promote_all(self, trials: Iterable[int], stage: int) -> None:
        for trial in sorted(trials):
            progress = self.progress[trial]
            if progress.state == "running" and progress.has_arrived and progress.stage == stage:
                self._promote(progress)

    def _promote_waiting(self) -> None:
        """On resuming, who has ended counts at the rungs, and one who waits there may go on."""
        if self.pruner is None:
            for stage, epoch in enumerate(self.config.rungs[:-1]):
                rung = self.rungs[epoch]
                self._promote_all(rung.at_rank(rung.count // self.config.eta), stage)

    def _ask_pruner_about_round(self, arrived: Sequence[TrialProgress], stage: int) -> set[int]:
        """Whom the pruner lets go on. It is told of all the cohort, in the order of their places,
        also of those whose end is on record: it learns from each."""
        progress_to_ask = (
            arrived if self.config.asynchronous else self.rounds[arrived[0].round_index]
        )
        return self._ask_pruner(progress_to_ask, stage)

    def _ask_pruner(self, progress_to_ask: Sequence[TrialProgress], stage: int) -> set[int]:
        assert self.pruner is not None
        epoch, initial_seeds = (
            self.config.rungs[stage],
            self.config.seeds[: self.config.initial_seed_count],
        )
        kept = set()
        for progress in sorted(progress_to_ask, key=lambda runner: runner.trial):
            value = progress.mean_accuracy(epoch, initial_seeds) if progress.is_searched else None
            if value is not None and not self.pruner.should_prune(progress.trial, epoch, value):
                kept.add(progress.trial)
        return kept

    def _replay_to_pruner(self, round_index: int) -> None:
        """Tell the pruner of a cohort that has ended before."""
        if self.pruner is not None:
            for stage in range(len(self.config.rungs) - 1):
                self._ask_pruner(self.rounds[round_index], stage)
            if self.is_round_finished(round_index):
                self._tell_pruner(round_index)

    def _race_seeds(self, arrived: Sequence[TrialProgress]) -> None:
        """At the last rung a further seed goes to those that may still win."""
        seeds, last_epoch = self.config.seeds_and_epoch(arrived[0].stage)
        remaining_seeds = len(self.config.seeds) - len(seeds)
        may_win: Mapping[str, bool] = {}
        if remaining_seeds > 0:
            finalists = (self.progress[trial] for trial in self.rungs[last_epoch].trials)
            values = {
                str(progress.trial): {
                    seed: progress.rung_accuracies[last_epoch][seed] for seed in seeds
                }
                for progress in finalists
                if progress.mean_accuracy(last_epoch, seeds) is not None
            }
            may_win = may_still_win(
                values, RACE_LEVEL / (len(self.config.seeds) - self.config.initial_seed_count)
            )
        for runner in arrived:
            if remaining_seeds == 0 or runner.is_reference or may_win[str(runner.trial)]:
                self._promote(runner)
            else:
                reason = f"out of the race after {len(seeds)} seeds"
                self._finish_trial(runner, "complete", reason)

    def _promote(self, progress: TrialProgress) -> None:
        progress.stage += 1
        progress.has_arrived = False
        if progress.stage < self.config.stage_count:
            progress.allow(*self.config.seeds_and_epoch(progress.stage))
            self._queue_jobs(progress, progress.target_epochs)
        if self.config.asynchronous:
            self._update_state(progress)

    def _finish_trial(
        self, progress: TrialProgress, state: SearchTrialState, reason: str = "", kind: str = ""
    ) -> None:
        progress.state = state
        self.running_trials.discard(progress.trial)
        self._running_per_round[progress.round_index] -= 1
        self._decisions.append(Decision(progress.trial, state, reason, kind))
        if self.pruner is not None and self.config.asynchronous:
            self.pruner.report_end(progress.trial, self._final_accuracy(progress))
        elif self.pruner is not None and self.is_round_finished(progress.round_index):
            self._tell_pruner(progress.round_index)

    def _tell_pruner(self, round_index: int) -> None:
        assert self.pruner is not None
        for progress in sorted(self.rounds[round_index], key=lambda runner: runner.trial):
            if progress.is_searched and progress.state != "running":
                self.pruner.report_end(progress.trial, self._final_accuracy(progress))

    def _final_accuracy(self, progress: TrialProgress) -> float | None:
        return progress.mean_accuracy(
            self.config.last_epoch, self.config.seeds[: self.config.initial_seed_count]
        )

    def _stop_reason(self, progress: TrialProgress) -> str:
        """Why a candidate does not go on from its rung."""
        epoch = self.config.rungs[progress.stage]
        if self.pruner is not None:
            return f"stopped by the {self.pruner.name} pruner at epoch {epoch}"
        rung = self.rungs[epoch]
        return f"halved at epoch {epoch}: place {rung.rank(progress.trial)} of {rung.count}"

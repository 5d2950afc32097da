"""Many trainings of one shape in one program: an ensemble's members, candidates of a grid, a fleet's models.

Each has its own rows or its own seed, its own step size and its own early stop; what it becomes is what it would have
become alone, up to the rounding of a sum in another order (1e-4 of the result). Trainings that have ended leave the
program when half of it has.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.program import Array, State, fresh
from models.program_of_many import room_for
from models.row_source import Rows
from models.trainer import (
    NEW_BEST,
    Budget,
    Curve,
    Ended,
    Progress,
    Trained,
    Weights,
    bounded_pull,
    root_mean_square,
    trimmed_mean,
)
from models.workshop import Workpiece
from schemas.errors import TrainingFailed

MOST_NUMBERS = 256_000_000  # of rows held for one program: a gibibyte


@dataclass(frozen=True)
class Job:
    """One training among many.

    Args:
        fit: Rows to learn from, float32 [rows, width]; jobs that hold the very same array share it.
        stop: Held-out rows, float32 [rows, width].
        seed: Decides first weights, noise, and the order of rows.
        learning_rate: Instead of the budget's.
        start: Weights to start from, those of another training of the same shape.
    """

    fit: Rows
    stop: Rows
    seed: int
    learning_rate: float | None = None
    start: Weights | None = None


def train_many(
    piece: Workpiece, jobs: Sequence[Job], budget: Budget, *, progress: Progress | None = None
) -> list[Trained | TrainingFailed]:
    """Train one network many times at once.

    Args:
        piece: The network and its programs.
        jobs: What to train.
        budget: What each may use; seconds count for all together and stop those that are still going.
        progress: Called after each epoch with (epoch from 1, mean loss, mean held-out loss) of those in the program.

    Returns:
        One entry a job, in their order; a failure where a job's loss was not finite or its rows not the loss's.

    Raises:
        TrainingFailed: When the network is trained in parts, which has no model axis.
    """
    if piece.network.pretraining:
        raise TrainingFailed(
            "a network that is trained part by part has no model axis", hint="train each by itself, or choose `dense`"
        )
    found: dict[int, Trained | TrainingFailed] = {}
    started = time.monotonic()
    for block in _blocks(jobs, budget):
        left = max(0.0, budget.seconds - (time.monotonic() - started))
        found |= dict(zip(block, _Together(piece, [jobs[at] for at in block], budget, left).run(progress), strict=True))
    return [found[at] for at in range(len(jobs))]


def _blocks(jobs: Sequence[Job], budget: Budget) -> list[list[int]]:
    """Positions of jobs that go together: one size of batch, few rows wasted, and no more than memory takes."""
    blocks: list[list[int]] = []
    order = sorted(range(len(jobs)), key=lambda at: (budget.batch(len(jobs[at].fit)), len(jobs[at].fit), at))
    for at in order:
        fit = jobs[at].fit
        if blocks:
            block = blocks[-1]
            first = jobs[block[0]].fit
            same_batch = budget.batch(len(first)) == budget.batch(len(fit))
            shared = all(jobs[other].fit is fit for other in block)
            if same_batch and (shared or (len(block) + 1) * fit.size <= MOST_NUMBERS):
                block.append(at)
                continue
        blocks.append([at])
    return blocks


@dataclass
class _Course:
    """How one job goes."""

    job: Job
    order: np.random.Generator
    first: Array
    best_weights: Weights
    pulls: Array
    loss: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    best: int = 0
    ended: Ended | None = None
    failure: TrainingFailed | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it has neither ended nor failed."""
        return self.ended is None and self.failure is None

    def result(self) -> Trained | TrainingFailed:
        """The training, or why there is none."""
        if self.failure is not None:
            return self.failure
        weights, others = self.best_weights
        trimmed = int(np.sum(self.pulls < 1))
        curve = Curve(tuple(self.loss), tuple(self.held_out), self.best, trimmed, self.ended or "epochs")
        return Trained(weights, others, curve, root_mean_square(weights - self.first))


class _Together:
    """Jobs in one program, and copies of the first of them where the program has room for more."""

    def __init__(self, piece: Workpiece, jobs: Sequence[Job], budget: Budget, seconds: float) -> None:
        self._program = piece.program_of_many
        self._budget = budget
        self._ends = time.monotonic() + seconds
        self._batch = budget.batch(len(jobs[0].fit))
        self._courses = _courses(piece, jobs)
        self._in = [at for at, course in enumerate(self._courses) if course.failure is None]
        if self._in:
            self._state = self._first_state()
            self._fit = _placed([self._courses[at].job.fit for at in self._filled()])
            self._stop = _placed([self._courses[at].job.stop for at in self._filled()])
            self._place_orders()

    def run(self, progress: Progress | None) -> list[Trained | TrainingFailed]:
        """Train until each has ended."""
        for epoch in range(self._budget.epochs):
            going = [at for at in self._in if self._courses[at].goes_on]
            if not going:
                break
            if len(going) * 2 <= len(self._in):
                self._leave_out(going)
            if epoch and epoch % self._budget.warm_up == 0 and self._budget.trim > 0:
                self._bound_tails()
            self._one_epoch(epoch)
            if progress is not None:
                still = [self._courses[at] for at in going]
                means = (float(np.mean([getattr(c, name)[-1] for c in still])) for name in ("loss", "held_out"))
                progress(epoch + 1, *means)
        return [course.result() for course in self._courses]

    def _filled(self) -> list[int]:
        """Which course is in each place of the program."""
        return self._in + self._in[:1] * (room_for(len(self._in)) - len(self._in))

    def _first_state(self) -> State:
        courses = [self._courses[at] for at in self._filled()]
        weights = np.stack([course.best_weights[0] for course in courses])
        others = [np.stack(each) for each in zip(*(course.best_weights[1] for course in courses), strict=True)]
        return fresh(weights, tuple(others))

    def _place_orders(self) -> None:
        """Make room for the orders of rows and for their pulls."""
        courses = [self._courses[at] for at in self._filled()]
        whole = [len(course.job.fit) // self._batch * self._batch for course in courses]
        # Filled up to whole batches: one that is not full makes no step, neither alone nor here.
        self._order = np.full((len(courses), max(whole)), -1, np.int32)
        for place, count in enumerate(whole):
            self._order[place, :count] = 0
        self._pulls = np.ones((len(courses), max(len(course.job.fit) for course in courses)), np.float32)
        for place, course in enumerate(courses):
            self._pulls[place, : len(course.pulls)] = course.pulls

    def _leave_out(self, going: list[int]) -> None:
        """Take those that have ended out of the program."""
        import tensorflow as tf

        place_of = {at: place for place, at in enumerate(self._in)}
        self._in = going
        places = [place_of[at] for at in self._filled()]
        self._state = tf.nest.map_structure(lambda part: tf.gather(part, places), self._state)
        self._fit, self._stop = (
            tf.gather(rows, places) if len(rows.shape) == 3 else rows for rows in (self._fit, self._stop)
        )
        self._place_orders()

    def _bound_tails(self) -> None:
        losses = self._program.row_losses(self._state, self._fit)
        for place, at in enumerate(self._in):
            course = self._courses[at]
            if course.goes_on:
                course.pulls = bounded_pull(losses[place, : len(course.job.fit)], self._budget.trim)
                self._pulls[place, : len(course.pulls)] = course.pulls

    def _one_epoch(self, epoch: int) -> None:
        self._state, totals, steps = self._program.epoch(
            self._state,
            self._fit,
            self._next_order(),
            self._pulls if self._budget.trim > 0 else None,
            self._rates(epoch),
            self._batch,
        )
        loss = totals.numpy() / np.maximum(1, steps)
        held_out = self._program.row_losses(self._state, self._stop)
        kept = _Kept(self._state)
        for place, at in enumerate(self._in):
            course = self._courses[at]
            if course.goes_on:
                self._conclude(course, epoch, float(loss[place]), held_out[place, : len(course.job.stop)], kept, place)

    def _next_order(self) -> Array:
        """The order of each model's rows; one that has ended goes on with its last, and nobody looks."""
        for place, at in enumerate(self._in):
            course = self._courses[at]
            if course.goes_on:
                count = len(course.job.fit)
                whole = count // self._batch * self._batch
                self._order[place, :whole] = course.order.permutation(count)[:whole]
        return self._order

    def _rates(self, epoch: int) -> Array:
        """Step sizes, [places]."""
        usual = self._budget.learning_rate
        own = [self._courses[at].job.learning_rate for at in self._filled()]
        factors = [1.0 if rate is None or usual == 0 else rate / usual for rate in own]
        return np.array([self._budget.rate(epoch) * factor for factor in factors], np.float32)

    def _conclude(self, course: _Course, epoch: int, loss: float, held_out: Array, kept: _Kept, place: int) -> None:
        """Say of one job how its epoch went, and whether it was its last."""
        course.loss.append(loss)
        course.held_out.append(trimmed_mean(held_out, self._budget.trim))
        if not np.isfinite([loss, course.held_out[-1]]).all():
            course.failure = TrainingFailed(
                f"the loss is not finite after epoch {epoch + 1} (loss {loss}, held out {course.held_out[-1]})",
                hint="lower the learning rate",
            )
            return
        is_best = epoch == 0 or course.held_out[-1] < course.held_out[course.best] * (1 - NEW_BEST)
        if is_best:
            course.best, course.best_weights = epoch, kept.of(place)
        elif epoch - course.best >= self._budget.patience:
            course.ended = "patience"
        rows = (epoch + 1) * len(course.job.fit)
        if course.ended is None and self._budget.rows is not None and rows >= self._budget.rows:
            course.ended = "rows"
        if course.ended is None and time.monotonic() > self._ends:
            if self._budget.late == "stop":
                course.ended = "seconds"
            else:
                course.failure = TrainingFailed(
                    f"training reached its safety stop of {self._budget.seconds:.0f} s in epoch {epoch + 1} "
                    f"of {self._budget.epochs}",
                    hint="raise the seconds, or lower rows or epochs",
                )


class _Kept:
    """A state's numbers, taken out of the program once an epoch."""

    def __init__(self, state: State) -> None:
        self._weights = state.weights.numpy()
        self._others = [other.numpy() for other in state.others]

    def of(self, place: int) -> Weights:
        """One model's, copied."""
        return self._weights[place].copy(), tuple(other[place].copy() for other in self._others)


def _courses(piece: Workpiece, jobs: Sequence[Job]) -> list[_Course]:
    weights, others = piece.first_weights_of([job.seed for job in jobs])
    courses = []
    for at, job in enumerate(jobs):
        first = weights[at] if job.start is None else job.start[0]
        pulls = np.ones(len(job.fit), np.float32)
        order = np.random.default_rng(job.seed)
        courses.append(_Course(job, order, first, (first, tuple(each[at] for each in others)), pulls))
        try:
            piece.network.loss.check(job.fit)
            piece.network.loss.check(job.stop)
        except TrainingFailed as failure:
            courses[-1].failure = failure
    return courses


def _placed(parts: Sequence[Rows]) -> Any:
    """Rows where the program finds them: [rows, width] that all share, or [models, most rows, width]."""
    import tensorflow as tf

    return tf.constant(parts[0] if all(part is parts[0] for part in parts) else _stacked(parts))


def _stacked(parts: Sequence[Rows]) -> Any:
    """[models, most rows, width], filled up with zeros."""
    most = max(map(len, parts))
    rows = np.zeros((len(parts), most, parts[0].shape[1]), np.float32)
    for at, part in enumerate(parts):
        rows[at, : len(part)] = part
    return rows

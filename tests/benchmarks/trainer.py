"""How much faster the trainer is than Keras `fit` at its defaults, Keras `fit` as tuned as it can be, and PyOD."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

from contender import Entry, Race, Result
from harness import Measure
from peers import THREADS, fastest, run

DENSE = Race(200_000, 64, 3, options={"hidden": [32], "code": 8, "activation": "relu"})
OTHERS = {
    "conv_keras_x": Race(20_000, 64, 3, family="convolutional_1d"),
    "recurrent_keras_x": Race(20_000, 64, 3, family="recurrent", options={"shape": [16, 4], "units": 32}),
}
TUNED = ("steps", "steps jit", "data steps", "data steps jit")
ROUNDS = 5
KERAS_BARS = {"keras_default": 6.0, "keras_tuned": 2.0}
PYOD_BAR = 20.0


def measure() -> Iterator[Measure]:
    """Ratios of seconds for the same epochs, with and without compiling; each at its fastest number of threads."""
    probe = replace(DENSE, epochs=1)
    chosen = {
        "ours": fastest(probe, on_threads("ours")),
        "keras_default": fastest(probe, on_threads("keras")),
        "keras_tuned": fastest(probe, tuned()),
        "pyod": fastest(probe, (Entry("pyod", threads=count) for count in (0, 1, 2))),
    }
    rounds = [{name: run(replace(DENSE, seed=1 + at), entry) for name, entry in chosen.items()} for at in range(ROUNDS)]
    ours, pyod = ([each[name] for each in rounds] for name in ("ours", "pyod"))
    keras = {name: [each[name] for each in rounds] for name in KERAS_BARS}
    named = {str(chosen[name]): each for name, each in [*keras.items(), ("pyod", pyod)]}
    for measure, take in (("train_s", again), ("train_with_compile_s", first)):
        peers = {name: statistics.median(map(take, each)) for name, each in named.items()}
        yield Measure(measure, list(map(take, ours)), "s", peer=peers)
    for name, theirs in keras.items():
        yield Measure(f"{name}_x", ratios(again, ours, theirs), "", (">=", KERAS_BARS[name]))
        yield Measure(f"{name}_with_compile_x", ratios(first, ours, theirs), "")
    yield Measure("pyod_x", ratios(detector, ours, pyod), "", (">=", PYOD_BAR))
    yield Measure("pyod_with_compile_x", ratios(detector_with_compile, ours, pyod), "")
    yield Measure("pyod_without_scores_x", ratios(again, ours, pyod), "")
    yield loss_ratio(ours, keras, pyod)
    for name, race in OTHERS.items():
        yield against_tuned(name, race)


def on_threads(who: str, how: str = "") -> Iterator[Entry]:
    """A contender at each setting of threads."""
    return (Entry(who, how, threads, between) for threads, between in THREADS)


def tuned() -> Iterator[Entry]:
    """Each way to tune Keras `fit`, at each setting of threads."""
    return (entry for how in TUNED for entry in on_threads("keras", how))


def ratios(take: Callable[[Result], float], ours: list[Result], theirs: list[Result]) -> list[float]:
    """Their seconds over ours, round by round."""
    return [take(its) / take(mine) for mine, its in zip(ours, theirs, strict=True)]


def loss_ratio(ours: list[Result], keras: dict[str, list[Result]], pyod: list[Result]) -> Measure:
    """Held-out loss over that of the better of Keras' two, which starts from the same weights; PyOD's beside it."""
    best = [min(each.held_out for each in both) for both in zip(*keras.values(), strict=True)]
    of_ours, of_pyod = ([each.held_out / its for each, its in zip(of, best, strict=True)] for of in (ours, pyod))
    return Measure("loss_ratio", of_ours, "", ("<=", 1.02), peer={"pyod": statistics.median(of_pyod)}, of="max")


def against_tuned(name: str, race: Race) -> Measure:
    """Seconds of tuned `fit` over ours, compiling left out on both sides."""
    probe = replace(race, epochs=1)
    ours, theirs = fastest(probe, on_threads("ours")), fastest(probe, tuned())
    pairs = [(run(race, ours), run(race, theirs)) for _ in range(ROUNDS)]
    print(f"{name}: {ours} {pairs[0][0]}, {theirs} {pairs[0][1]}", file=sys.stderr)
    return Measure(name, [again(its) / again(mine) for mine, its in pairs], "", (">=", 1.0))


def again(result: Result) -> float:
    """Seconds of training without building and compiling."""
    return result.again_s


def first(result: Result) -> float:
    """Seconds of training with building and compiling."""
    return result.first_s


def detector(result: Result) -> float:
    """Seconds of what PyOD's `fit` does: it trains, and scores the fit rows for its threshold."""
    return result.again_s + result.scores_s


def detector_with_compile(result: Result) -> float:
    """The same with building and compiling."""
    return result.first_s + result.scores_s

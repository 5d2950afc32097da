"""How much faster the trainer is than Keras `fit` at its defaults, Keras `fit` as tuned as it can be, and PyOD."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from contender import Entry, Race, Result
from harness import Measure
from peers import THREADS, fastest, run

DENSE = Race(200_000, 64, 10, options={"hidden": [64, 32], "code": 8, "activation": "relu"})
OTHERS = {
    "conv_keras_x": Race(20_000, 64, 3, family="convolutional_1d"),
    "recurrent_keras_x": Race(20_000, 64, 3, family="recurrent", options={"shape": [16, 4], "units": 32}),
}
TUNED = ("steps", "steps jit", "data steps", "data steps jit")
ROUNDS = 3
BARS = {"keras_default": 6.0, "keras_tuned": 2.0, "pyod": 20.0}


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
    results = {name: [each[name] for each in rounds] for name in chosen}
    ours = results.pop("ours")
    named = {f"{chosen[name]}": result for name, result in results.items()}
    for measure, take in (("train_s", again), ("train_with_compile_s", first)):
        peers = {name: sorted(map(take, each))[ROUNDS // 2] for name, each in named.items()}
        yield Measure(measure, list(map(take, ours)), "s", peer=peers)
    for name, theirs in results.items():
        for suffix, take in (("x", again), ("with_compile_x", first)):
            ratios = [take(its) / take(mine) for mine, its in zip(ours, theirs, strict=True)]
            yield Measure(f"{name}_{suffix}", ratios, "", (">=", BARS[name]))
    yield loss_ratio(ours, results)
    for name, race in OTHERS.items():
        yield against_tuned(name, race)


def on_threads(who: str, how: str = "") -> Iterator[Entry]:
    """A contender at each setting of threads."""
    return (Entry(who, how, threads, between) for threads, between in THREADS)


def tuned() -> Iterator[Entry]:
    """Each way to tune Keras `fit`, at each setting of threads."""
    return (entry for how in TUNED for entry in on_threads("keras", how))


def loss_ratio(ours: list[Result], results: dict[str, list[Result]]) -> Measure:
    """Held-out loss over that of the better of Keras' two, which starts from the same weights; PyOD's beside it."""
    keras = [
        min(one.held_out, other.held_out)
        for one, other in zip(results["keras_default"], results["keras_tuned"], strict=True)
    ]
    ratios = [mine.held_out / best for mine, best in zip(ours, keras, strict=True)]
    pyod = [its.held_out / best for its, best in zip(results["pyod"], keras, strict=True)]
    return Measure("loss_ratio", ratios, "", ("<=", 1.02), peer={"pyod": sorted(pyod)[ROUNDS // 2]}, of="max")


def against_tuned(name: str, race: Race) -> Measure:
    """Seconds of tuned `fit` over ours, compiling left out on both sides."""
    probe = replace(race, epochs=1)
    ours, theirs = fastest(probe, on_threads("ours")), fastest(probe, tuned())
    pairs = [(run(race, ours), run(race, theirs)) for _ in range(ROUNDS)]
    print(f"{name}: {ours} {pairs[0][0]}, {theirs} {pairs[0][1]}", file=sys.stderr)
    return Measure(name, [again(its) / again(mine) for mine, its in pairs], "", (">=", 1.0))


def again(result: Result) -> float:
    """Seconds without building and compiling."""
    return result.again_s


def first(result: Result) -> float:
    """Seconds with building and compiling."""
    return result.first_s

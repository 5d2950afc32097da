"""Whether p-values and thresholds mean what they say: even p-values, the budget kept, no row's flag by other rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from chunks import flags_of_half
from harness import Measure, NotMeasured
from normal_rows import Numbers, normal_rows
from project_setup import NAME, must, project, real_nights

FIT, STOP, ASKED = 7_000, 1_000, 10_000
SEEDS = (1, 2)
COPIES = 0.01
QUIET_FROM, QUIET_TO = 7, 14
BUDGET = 20.0
BACKFILL_S = 3_600.0


@dataclass(frozen=True)
class Distances:
    """How far p-values of held-out rows lie from uniform, by Kolmogorov and Smirnov.

    Args:
        by_night: With calibration rows that nothing else has seen, as in the nights.
        as_library: With calibration rows that are in the reference too, as in `Autoencoder`.
        smoothed: As in the nights, where chance decides between equal scores (Vovk et al., 2005).
    """

    by_night: float
    as_library: float
    smoothed: float


def measure() -> Iterator[Measure]:
    """KS distance of 10,000 usual rows' p-values, alerts against the budget on quiet nights, flags by half a night."""
    yield from even_p_values()
    yield from nights_kept()


def even_p_values() -> Iterator[Measure]:
    """Every source by every seed; those in which one row makes more than a hundredth of all are told apart."""
    from models.tensorflow_import import import_tensorflow

    import_tensorflow()
    usual: list[Distances] = []
    repeated: list[Distances] = []
    for name, rows in normal_rows(FIT + STOP + 2 * ASKED):
        for seed in SEEDS:
            drawn = rows[np.random.default_rng(seed).permutation(len(rows))[: FIT + STOP + 2 * ASKED]]
            copies = float(np.unique(drawn, axis=0, return_counts=True)[1].max()) / len(drawn)
            found = distances(drawn, seed)
            print(f"  {name}, seed {seed}, {copies:.1%} are one row: {found}", file=sys.stderr)
            (repeated if copies > COPIES else usual).append(found)
    if not usual:
        raise NotMeasured("no source has rows enough")
    yield Measure("ks", [each.by_night for each in usual], "", ("<", 0.03), of="max")
    yield Measure("ks_library", [each.as_library for each in usual], "", ("<", 0.03), of="max")
    if repeated:  # equal rows have equal p-values, the largest that is true of them: they cannot be even
        smoothed = {"smoothed": max(each.smoothed for each in repeated)}
        yield Measure("ks_of_copies", [each.by_night for each in repeated], "", None, smoothed, of="max")


def distances(rows: Numbers, seed: int) -> Distances:
    """Train on some rows, calibrate on 10,000, and ask about 10,000 others."""
    import pandas as pd

    from models.autoencoder import Autoencoder
    from models.calibration import p_values
    from models.finish import Known, finish
    from models.networks import wants_bounds
    from models.plain_encoder import fit_plain
    from models.trainer import train
    from models.transform import Transform
    from models.workshop import WORKSHOP

    chosen, config, budget = Autoencoder("auto", seed=seed).settings()
    columns = [f"x{at}" for at in range(rows.shape[1])]
    encoders = fit_plain(tuple(columns), rows[:FIT], "standard", as_they_are=0, bounded=wants_bounds(config))
    transform = Transform(tuple(encoders))
    parts = np.split(transform.apply(pd.DataFrame(rows, columns=columns)), [FIT, FIT + STOP, FIT + STOP + ASKED])
    fit, stop, calibrate, asked = parts
    piece = WORKSHOP.workpiece(chosen.name, transform.width, config)
    train(piece, fit, stop, budget, seed=seed)
    found = {}
    for lends_all in (False, True):
        made = finish(piece.network, transform, Known(fit, stop, calibrate, lends_all=lends_all), seed)
        scores = made.scores(asked)
        found[lends_all] = from_uniform(p_values(scores, made.calibration))
        if not lends_all:
            smoothed = from_uniform(smoothed_p_values(scores, made.calibration, seed))
    return Distances(found[False], found[True], smoothed)


def smoothed_p_values(scores: Numbers, calibration: Numbers, seed: int) -> Numbers:
    """P-values that a draw takes down by a part of the equal scores: exactly uniform for exchangeable rows."""
    above = len(calibration) - np.searchsorted(calibration, scores, side="right")
    equal = len(calibration) - np.searchsorted(calibration, scores, side="left") - above
    drawn: Numbers = (above + np.random.default_rng(seed).random(len(scores)) * (equal + 1)) / (len(calibration) + 1)
    return drawn


def from_uniform(p: Numbers) -> float:
    """The largest difference of two distribution functions: of p-values, and of the uniform."""
    ordered, steps = np.sort(p), np.arange(len(p) + 1) / len(p)
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))


def nights_kept() -> Iterator[Measure]:
    """The nights as users do them: alerts on quiet ones, and half a night scored again."""
    nights = real_nights()
    if nights is None or len(nights.files) < QUIET_TO:
        raise NotMeasured("the real nights are missing: ../shared/data/unsw_nights beside the checkout")
    with project(nights) as watched:
        dates = list(nights.files)[:QUIET_TO]
        watched.arrive(*dates)
        words = ("--project", str(watched.folder), "backfill", NAME, "--from", dates[0], "--to", dates[-1])
        must(*words, "--seed", str(SEEDS[0]), limit_s=BACKFILL_S)
        counts = [float(sum(watched.scores(date)["is_alert"])) for date in dates[QUIET_FROM:]]
        print(f"  alerts on quiet nights: {counts}", file=sys.stderr)
        yield Measure("budget_error", [abs(sum(counts) / len(counts) / BUDGET - 1.0)], "", ("<=", 0.5))
        changed = flags_of_half(watched, dates[-1])
    yield Measure("half_night_changed", [float(changed)], "rows", ("==", 0.0))

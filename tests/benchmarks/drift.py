"""Whether the alert budget holds while the data change for good: nights in the order in which they were captured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from harness import Measure, NotMeasured
from project_setup import Project, must, project, read_frame, real_nights, sereno

BLOCKED = 3
QUIET_FROM, QUIET_TO = 7, 14
BUDGET = 20.0


def measure() -> Iterator[Measure]:
    """Alerts on quiet nights that drift, budget 20; a blocked night is let in as a person does."""
    nights = real_nights("unsw_drift")
    if nights is None or len(nights.files) <= QUIET_TO:
        raise NotMeasured("the real nights are missing: ../shared/data/unsw_drift beside the checkout")
    with project(nights) as watched:
        dates = list(nights.files)
        results = []
        for date in dates:
            watched.arrive(date)
            results.append(run(watched, date))
        quiet = [float(result["alerts"]) for result in results[QUIET_FROM:QUIET_TO]]
        peer = [pca_alerts(watched, dates[:at], dates[at]) for at in range(QUIET_FROM, QUIET_TO)]
        yield Measure("alerts_quiet_least", quiet, "alerts a night", (">=", BUDGET / 2), {"pca": min(peer)}, of="min")
        yield Measure("alerts_quiet_most", quiet, "alerts a night", ("<=", BUDGET * 2), {"pca": max(peer)}, of="max")
        busy = [float(result["alerts"]) for result in results[QUIET_TO:]]
        yield Measure("alerts_busy_mean", busy, "alerts a night", of="mean")
        unsaid = sum(not result["model"]["reason"] for result in results)
        yield Measure("decisions_without_reason", [float(unsaid)], "nights", ("==", 0))


def run(watched: Project, date: str) -> dict[str, Any]:
    """Run one night; let it in when its expectations hold it."""
    done = sereno(*watched.command("run", date, "--json"))
    if done.code == BLOCKED:
        done = must(*watched.command("run", date, "--json", "--accept"))
    if done.code != 0:
        raise NotMeasured(f"the run of {date} ended with {done.code}:\n{(done.err or done.out)[-2000:]}")
    result: dict[str, Any] = json.loads(done.out)
    return result


def pca_alerts(watched: Project, trained: list[str], scored: str) -> float:
    """Alerts of principal components whose threshold keeps the budget on a fifth of the nights before."""
    from models.baselines import fit_pca
    from models.calibration import threshold_for
    from models.transform import fit_transform
    from schemas.dataset import load_dataset

    (path,) = (watched.folder / "datasets").glob("*.yaml")
    before = read_frame([watched.nights.files[date] for date in trained])
    held_out = np.arange(len(before)) % 5 == 0
    transform = fit_transform(before[~held_out], load_dataset(path).features)
    fit, rest = transform.apply(before[~held_out]), transform.apply(before[held_out])
    pca = fit_pca(fit, rest, transform)
    threshold = threshold_for(np.sort(pca.score(rest)), BUDGET * len(trained) / len(before))
    night = transform.apply(read_frame([watched.nights.files[scored]]))
    return float(np.sum(pca.score(night) > threshold))

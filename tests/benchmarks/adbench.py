"""Whether the default detector finds more than the field's, over tables of many kinds and without a label."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from harness import Measure, NotMeasured
from peers import HERE, ONE_THREAD, python_of_peers, said_by
from project_setup import shared_data
from tabular_sets import LEFT_IN, Cut, cuts, names

SEEDS = (0, 1, 2, 3, 4)
LIMIT_S = 4 * 3_600
DRAWS = 2_000

Found = dict[str, dict[str, dict[str, float]]]  # measure, detector, cut


def measure() -> Iterator[Measure]:
    """AUROC and average precision of `auto` on ADBench's sets, beside twelve of PyOD's detectors, over five seeds."""
    from models.tensorflow_import import import_tensorflow

    folder = shared_data() / "adbench"
    if not (known := names(folder)):
        raise NotMeasured("the tables are missing: ../shared/data/adbench beside the checkout")
    import_tensorflow()
    found: Found = {"auroc": defaultdict(dict), "ap": defaultdict(dict)}
    failed: set[str] = set()
    constant = 0.0
    contaminated_ap: list[float] = []
    # What is measured is not time, so the peers work beside.
    with ThreadPoolExecutor(1) as beside:
        peers = {name: beside.submit(asked_peers, folder, name) for name in known}
        for name in known:
            for cut in cuts(folder, name, SEEDS):
                constant += note(found, "auto", cut, scores(cut))
            contaminated_ap += [judged(cut, scores(cut))[1] for cut in cuts(folder, name, SEEDS, LEFT_IN)]
        for name in known:
            failed |= taken(peers[name].result(), found)
            told(name, found)
    if failed:
        print(f"left out, as a peer fails on them: {', '.join(sorted(failed))}", file=sys.stderr)
    kept = [name for name in known if name not in failed]
    yield from compared(found, kept)
    yield Measure("constant_sets", [constant], "cuts", ("==", 0.0))
    yield Measure("contaminated_ap", contaminated_ap, "", of="mean")


def scores(cut: Cut) -> np.ndarray[Any, Any]:
    """The default detector, as it is set up."""
    from models.autoencoder import Autoencoder

    return Autoencoder("auto", seed=cut.seed).fit(cut.train).score(cut.asked)


def judged(cut: Cut, found: np.ndarray[Any, Any]) -> tuple[float, float]:
    """AUROC and average precision."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return float(roc_auc_score(cut.is_anomaly, found)), float(average_precision_score(cut.is_anomaly, found))


def note(found: Found, who: str, cut: Cut, given: np.ndarray[Any, Any]) -> float:
    """Keep what a detector reached; 1 where it tells no rows apart."""
    for kind, value in zip(("auroc", "ap"), judged(cut, given), strict=True):
        found[kind][who][f"{cut.name} {cut.seed}"] = value
    return float(np.ptp(given) == 0)


def asked_peers(tables: Path, name: str) -> list[str]:
    """Have the peers rank the rows of a table's cuts; return their lines."""
    with tempfile.TemporaryDirectory(prefix="sereno-bench-") as folder:
        for cut in cuts(tables, name, SEEDS):
            np.savez(
                Path(folder) / f"{cut.name} {cut.seed}.npz",
                train=cut.train,
                asked=cut.asked,
                is_anomaly=cut.is_anomaly,
                seed=cut.seed,
            )
        script = HERE / "pyod_on_tables.py"
        return said_by(python_of_peers(), script, folder, who="a peer", limit_s=LIMIT_S, environ=ONE_THREAD)


def taken(said: list[str], found: Found) -> set[str]:
    """Keep what peers reached; return the sets on which one of them fails."""
    failed = set()
    for line in (json.loads(line) for line in said if line.startswith("{")):
        if "failed" in line:
            print(f"  {line['peer']} fails on {line['cut']}: {line['failed']}", file=sys.stderr)
            failed.add(line["cut"].rpartition(" ")[0])
        else:
            for kind in ("auroc", "ap"):
                found[kind][line["peer"]][line["cut"]] = line[kind]
    return failed


def compared(found: Found, kept: list[str]) -> Iterator[Measure]:
    """Means over the sets, the mean rank, and what `auto` gains on the best peer, with its interval."""
    table = {
        kind: {
            who: np.array([np.mean([cuts_of[f"{name} {seed}"] for seed in SEEDS]) for name in kept])
            for who, cuts_of in by_detector.items()
        }
        for kind, by_detector in found.items()
    }
    for kind, bar in (("auroc", 0.89), ("ap", 0.69)):
        peers = {who: float(values.mean()) for who, values in table[kind].items() if who != "auto"}
        best_of_all = np.max([values for who, values in table[kind].items() if who != "auto"], axis=0)
        peers["best of them for each set"] = float(best_of_all.mean())
        yield Measure(kind, table[kind]["auto"].tolist(), "", (">=", bar), peers, of="mean")
    ranks = mean_ranks(table["auroc"])
    least = min(rank for who, rank in ranks.items() if who != "auto")
    others = {who: rank for who, rank in ranks.items() if who != "auto"}
    yield Measure("rank", [ranks["auto"]], "mean rank", ("<", least), others)
    for kind in ("auroc", "ap"):
        best = max((who for who in table[kind] if who != "auto"), key=lambda who: table[kind][who].mean())
        gains = table[kind]["auto"] - table[kind][best]
        low, high = interval(gains)
        print(f"{kind}: {gains.mean():+.4f} on {best}, 95 % of draws {low:+.4f} to {high:+.4f}", file=sys.stderr)
        yield Measure(f"best_peer_{kind}_gain", gains.tolist(), "", (">", 0.0), {"low": low, "high": high}, of="mean")


def mean_ranks(table: dict[str, np.ndarray[Any, Any]]) -> dict[str, float]:
    """Each detector's mean place among all, 1 for the best; equals share theirs."""
    from scipy.stats import rankdata

    places = rankdata(-np.stack(list(table.values())), axis=0)
    return dict(zip(table, places.mean(axis=1).tolist(), strict=True))


def interval(gains: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Ends of the middle 95 % of the mean gain, over sets drawn anew (Efron, 1979)."""
    drawn = np.random.default_rng(0).choice(gains, (DRAWS, len(gains))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def told(name: str, found: Found) -> None:
    """Say how a set went."""
    reached = {
        who: np.mean([v for cut, v in by.items() if cut.startswith(f"{name} ")]) for who, by in found["ap"].items()
    }
    said = ", ".join(f"{who} {value:.3f}" for who, value in sorted(reached.items(), key=lambda pair: -pair[1]))
    print(f"  {name}: average precision {said}", file=sys.stderr)

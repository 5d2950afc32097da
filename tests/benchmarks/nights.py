"""Whether the nights' scores mean something: ranking against labels that no run saw, and alerts against the budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from harness import Measure, NotMeasured
from project_setup import NAME, Project, Truth, must, project, read_frame, read_rows, real_nights

SEEDS = (1, 2, 3)
TRAINED, QUIET_FROM = 14, 7
BACKFILL_S = 3_600.0
NEIGHBOURS = 20


@dataclass(frozen=True)
class Ranking:
    """How well scores rank labelled rows: the mean over nights.

    Args:
        auroc: Chance that an anomalous row scores above another.
        ap: Average precision.
    """

    auroc: float
    ap: float


def measure() -> Iterator[Measure]:
    """AUROC and average precision frozen and nightly, and alerts on quiet and busy nights, on 21 real nights."""
    nights = real_nights()
    if nights is None or len(nights.files) <= TRAINED:
        raise NotMeasured("the real nights are missing: ../shared/data/unsw_nights beside the checkout")
    with project(nights) as watched:
        dates = list(nights.files)
        watched.arrive(*dates)
        nightly = watched.copy("nightly")
        for date in dates[:TRAINED]:
            must(*watched.command("validate", date))
        frozen = [frozen_ranking(watched.copy(f"seed {seed}"), seed) for seed in SEEDS]
        peers = peer_rankings(watched)
        yield from frozen_measures("", [by_night for by_night, _ in frozen], peers, Ranking(0.90, 0.45))
        yield from frozen_measures("_pooled", [pooled for _, pooled in frozen], {}, Ranking(0.86, 0.36))
        ap_frozen = sum(by_night.ap for by_night, _ in frozen) / len(frozen)
        yield from nightly_measures(nightly, ap_frozen, peers["pca"].ap)


def frozen_measures(suffix: str, frozen: list[Ranking], peers: dict[str, Ranking], least: Ranking) -> Iterator[Measure]:
    """Return the measures of a frozen detector, a sample a seed; `least` is the bar."""
    auroc, ap = [ranking.auroc for ranking in frozen], [ranking.ap for ranking in frozen]
    peer = {name: ranking.auroc for name, ranking in peers.items()}
    yield Measure(f"auroc_frozen{suffix}", auroc, "", (">=", least.auroc), peer, of="mean")
    peer = {name: ranking.ap for name, ranking in peers.items()}
    yield Measure(f"ap_frozen{suffix}", ap, "", (">=", least.ap), peer, of="mean")


def frozen_ranking(watched: Project, seed: int) -> tuple[Ranking, Ranking]:
    """Train on the first nights, score the others without training; rank night by night, and all nights as one."""
    dates = list(watched.nights.files)
    result = watched.train(dates[0], dates[TRAINED - 1], seed)
    if not result["promoted"]:
        raise NotMeasured(f"the detector of seed {seed} was not promoted: {result['reason']}")
    delivered: list[tuple[list[float], list[str], Truth]] = []
    for date in dates[TRAINED:]:
        watched.run(date, "--no-train")
        delivered.append(night_scores(watched, date, watched.scores(date)))
    scores = [score for night, _, _ in delivered for score in night]
    keys = [key for _, night, _ in delivered for key in night]
    truth = {key: is_anomalous for _, _, night in delivered for key, is_anomalous in night.items()}
    return mean([ranked(*night) for night in delivered]), ranked(scores, keys, truth)


def nightly_measures(watched: Project, ap_frozen: float, pca_frozen: float) -> Iterator[Measure]:
    """Run the nights as users do: each trains on those before it, attacks included."""
    dates = list(watched.nights.files)
    words = ("--project", str(watched.folder), "backfill", NAME, "--from", dates[0], "--to", dates[-1])
    must(*words, "--seed", str(SEEDS[0]), limit_s=BACKFILL_S)
    scores = {date: watched.scores(date) for date in dates[QUIET_FROM:]}
    alerts = {date: float(sum(found["is_alert"])) for date, found in scores.items()}
    ranking = mean([ranked(*night_scores(watched, date, scores[date])) for date in dates[TRAINED:]])
    pca = mean([peer_ranking(watched, dates[:at], [dates[at]], pca_scores) for at in range(TRAINED, len(dates))])
    ratio = {"pca": pca.ap / pca_frozen}
    yield Measure("ap_nightly_ratio", [ranking.ap / ap_frozen], "", (">=", 0.95), peer=ratio)
    quiet = [alerts[date] for date in dates[QUIET_FROM:TRAINED]]
    busy = [alerts[date] for date in dates[TRAINED:]]
    yield Measure("alerts_quiet_mean", quiet, "alerts a night", ("between", 10.0, 30.0), of="mean")
    usual = sum(quiet) / len(quiet)
    if usual == 0:
        raise NotMeasured("alerts_busy_ratio: no night from the 8th to the 14th raised an alert")
    yield Measure("alerts_busy_ratio", [count / usual for count in busy], "", (">=", 1.3), of="mean")


def night_scores(watched: Project, date: str, scores: dict[str, list[Any]]) -> tuple[list[float], list[str], Truth]:
    """Return score, key and truth of a night's rows as delivered; a quarantined row counts as least anomalous."""
    by_key = {str(key): score for key, score in zip(scores[watched.nights.key], scores["score"], strict=True)}
    delivered = [row[watched.nights.key] for row in read_rows(watched.nights.files[date])]
    return [by_key.get(key, float("-inf")) for key in delivered], delivered, watched.nights.truth[date]


def ranked(scores: list[float], keys: list[str], truth: Truth) -> Ranking:
    """Judge scores by the truth about each key."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    anomalous = [truth.get(key, False) for key in keys]
    # Ranks, as an infinite score is none for scikit-learn; equal scores stay equal.
    places = np.unique(np.array(scores), return_inverse=True)[1]
    return Ranking(float(roc_auc_score(anomalous, places)), float(average_precision_score(anomalous, places)))


def mean(rankings: list[Ranking]) -> Ranking:
    """The mean over nights."""
    count = len(rankings)
    return Ranking(sum(r.auroc for r in rankings) / count, sum(r.ap for r in rankings) / count)


Peer = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any], Any], np.ndarray[Any, Any]]


def peer_rankings(watched: Project) -> dict[str, Ranking]:
    """Rank the same nights by other tools, on the same columns."""
    dates = list(watched.nights.files)
    peers: dict[str, Peer] = {"pca": pca_scores, "isolation forest": forest_scores, "lof": lof_scores}
    return {name: peer_ranking(watched, dates[:TRAINED], dates[TRAINED:], peer) for name, peer in peers.items()}


def peer_ranking(watched: Project, trained: list[str], scored: list[str], peer: Peer) -> Ranking:
    """Fit a peer on some nights and rank others."""
    from models.transform import fit_transform
    from schemas.dataset import load_dataset

    dataset = load_dataset(watched.folder / "datasets" / f"{NAME}.yaml")
    fit = read_frame([watched.nights.files[date] for date in trained])
    transform = fit_transform(fit, dataset.features)
    encoded = transform.apply(fit)
    rankings = []
    for date in scored:
        night = read_frame([watched.nights.files[date]])
        scores = peer(encoded, transform.apply(night), transform)
        keys = [str(key) for key in night[watched.nights.key]]
        rankings.append(ranked(scores.tolist(), keys, watched.nights.truth[date]))
    return mean(rankings)


def pca_scores(fit: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], transform: Any) -> np.ndarray[Any, Any]:
    """What principal components do not reconstruct."""
    from models.baselines import fit_pca

    return fit_pca(fit, fit, transform).score(rows)


def forest_scores(fit: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], _: Any) -> np.ndarray[Any, Any]:
    """Isolation forest, as scikit-learn sets it up."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=SEEDS[0]).fit(fit)
    return -np.asarray(forest.score_samples(rows))


def lof_scores(fit: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], _: Any) -> np.ndarray[Any, Any]:
    """Local outlier factor, as scikit-learn sets it up."""
    from sklearn.neighbors import LocalOutlierFactor

    neighbours = LocalOutlierFactor(n_neighbors=NEIGHBOURS, novelty=True).fit(fit)
    return -np.asarray(neighbours.score_samples(rows))

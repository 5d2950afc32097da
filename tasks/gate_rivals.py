"""The classical rivals of the gate: who is tried, what is said of those that win, how one becomes the challenger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.scoring import Scorer
    from models.split import Parts
    from models.training_request import TrainingOutcome
    from schemas.dataset import Dataset
    from tasks.trial import Trial

RIVAL_MARGIN = 0.02
ALWAYS = "pca"


def enter_rivals(dataset: Dataset, challenger: Scorer, parts: Parts, held_out: Trial, seed: int) -> tuple[str, ...]:
    """Fit the rivals to the challenger's own encoded rows, and let them score the trial.

    Returns:
        The titles of those that run beside; none where the dataset file wants none, though PCA is fitted all the same.
    """
    from models.rival_bundle import given_of
    from models.rivals import rivals

    beside = dataset.detector.rivals != "none"
    given = given_of(challenger.bundle, parts, seed)
    usual, planted = (given.transform.apply(rows) for rows in (held_out.usual, held_out.planted.frame))
    chosen = [kind for name, kind in rivals().items() if beside or name == ALWAYS]
    for kind in chosen:
        fitted = kind.fit(given)
        held_out.found[kind.title] = fitted.score(usual), fitted.score(planted)
    return tuple(kind.title for kind in chosen) if beside else ()


def winners(held_out: Trial, titles: tuple[str, ...], seed: int) -> dict[str, tuple[float, float]]:
    """The rivals that find more planted anomalies than the challenger by more than the margin, the best first.

    Returns:
        Title to its AUROC and the challenger's.
    """
    found = {title: held_out.against(title, seed) for title in titles}
    ahead = {title: (one.second, one.first) for title, one in found.items() if one.is_worse(RIVAL_MARGIN)}
    return dict(sorted(ahead.items(), key=lambda item: -item[1][0]))


def said_of(ahead: dict[str, tuple[float, float]], titles: tuple[str, ...]) -> str:
    """One plain sentence on who wins."""
    if not ahead:
        return f"none of {', '.join(titles)} finds clearly more"
    each = ", ".join(f"{title} (AUROC {theirs:.3f})" for title, (theirs, _) in ahead.items())
    mine = next(iter(ahead.values()))[1]
    verb = "finds" if len(ahead) == 1 else "find"
    return f"{each} {verb} clearly more planted anomalies than the challenger ({mine:.3f})"


def named(title: str) -> str:
    """The name of the rival with that title."""
    from models.rivals import rivals

    return next(name for name, kind in rivals().items() if kind.title == title)


def make_champion_of(
    dataset: Dataset, title: str, challenger: TrainingOutcome, sample: Path, output: Path, seed: int
) -> TrainingOutcome:
    """Make a bundle of a rival that won, from the rows, columns and alert budget of the challenger.

    Args:
        dataset: The dataset.
        title: The rival's.
        challenger: The one that it beat.
        sample: The window's sample as one Parquet file.
        output: Folder that the bundle becomes.
        seed: The gate's, so that it is the very rival that won.
    """
    import pyarrow.parquet as pq

    from models.bundle import open_bundle
    from models.rival_bundle import given_of, write_rival
    from models.split import bounded, split

    bundle = open_bundle(challenger.bundle, challenger.bundle_hash)
    parts = split(bounded(pq.read_table(sample).to_pandas(), dataset.detector.rows))
    return write_rival(named(title), bundle, parts, given_of(bundle, parts, seed), output)

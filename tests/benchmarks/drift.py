"""Whether the alert budget holds while the data change for good, and whether what is said of drift is right.

The nights of one set drift as the capture did, those of the other do not, and the last of those is spoilt: some of its
columns are permuted together, so that each keeps its values and goes with the others no longer.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date as Date
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import Measure, NotMeasured
from project_setup import NAME, Nights, Project, must, project, read_frame, real_nights, sereno

if TYPE_CHECKING:
    import pyarrow as pa

BLOCKED = 3
QUIET_FROM, QUIET_TO = 7, 14
BUDGET = 20.0
VERDICTS = ("steady", "columns moved", "relations moved", "beyond the detector", "stale", "not known")
TIED = ("sbytes", "spkts", "sloss", "smean")
WINDOW, ROWS = 28, 2_000


def measure() -> Iterator[Measure]:
    """Alerts on quiet nights that drift, budget 20; what is said of drift there, without drift, of broken relations.

    A blocked night is let in as a person does.
    """
    yield from drifting()
    yield from steady()


def drifting() -> Iterator[Measure]:
    """Nights that drift as the capture did: from one night on for good."""
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
        seen = {date: seen_by_the_detector(watched, date) for date in dates}
        yield from counted("drifting", [seen[date]["verdict"] for date in dates])
        first = next((at for at, date in enumerate(dates) if wants_a_person(seen[date])), len(dates))
        yield Measure("drifting_nights_before_the_first_word", [float(first)], "nights")
        warned = [at for at, result in enumerate(results) if any(w.startswith("drift, ") for w in result["warnings"])]
        yield Measure("drifting_nights_warned_of", [float(len(warned))], "nights")
        unsaid = sum(not (said["message"] and said["advice"] and said["command"]) for said in seen.values())
        yield Measure("verdicts_without_number_or_command", [float(unsaid)], "nights", ("==", 0))


def steady() -> Iterator[Measure]:
    """Nights of one source, and a last one whose relations are broken."""
    nights = real_nights("unsw_nights")
    if nights is None:
        raise NotMeasured("the real nights are missing: ../shared/data/unsw_nights beside the checkout")
    with project(nights) as watched:
        *quiet, broken = nights.files
        for date in quiet:
            watched.arrive(date)
            run(watched, date)
        verdicts = [seen_by_the_detector(watched, date) for date in quiet]
        yield from counted("steady", [said["verdict"] for said in verdicts])
        wanted = sum(map(wants_a_person, verdicts))
        yield Measure("steady_nights_called_out", [float(wanted)], "nights", ("<=", 1))
        break_relations(nights, broken, watched.incoming(broken))
        run(watched, broken)
        said = seen_by_the_detector(watched, broken)
        yield Measure("broken_relations_said", [float(said["verdict"] == "relations moved")], "", ("==", 1))
        named = [column["column"] for column in said["columns"]]
        share = len(set(named) & set(TIED)) / len(TIED)
        yield Measure("broken_relations_columns_named", [share], "", (">=", 0.75))
        yield Measure("seconds_to_look", look_thrice(watched), "s", ("<=", 10))


def seen_by_the_detector(watched: Project, date: str) -> dict[str, Any]:
    """What the night's report says of drift as the detector sees it."""
    page = watched.folder / "reports" / NAME / f"{date}.json"
    seen: dict[str, Any] = json.loads(page.read_text(encoding="utf-8"))["drift"]["detector"]
    return seen


def wants_a_person(seen: dict[str, Any]) -> bool:
    """Whether there is something to do."""
    return seen["verdict"] in ("relations moved", "beyond the detector", "stale")


def counted(prefix: str, verdicts: list[str]) -> Iterator[Measure]:
    """How often each verdict came."""
    found = Counter(verdicts)
    for verdict in VERDICTS:
        yield Measure(f"{prefix}_nights_{verdict.replace(' ', '_')}", [float(found[verdict])], "nights")


def break_relations(nights: Nights, date: str, target: Path) -> None:
    """Write a night whose tied columns come from other rows, all from the same one."""
    import pandas as pd

    frame = pd.read_csv(nights.files[date], dtype=str, keep_default_na=False)
    order = np.random.default_rng(0).permutation(len(frame))
    for column in TIED:
        frame[column] = frame[column].to_numpy()[order]
    with gzip.open(target, "wt", encoding="utf-8", newline="") as file:
        frame.to_csv(file, index=False)


def look_thrice(watched: Project) -> list[float]:
    """Seconds that the codes, scores and distances of a window of full size take, with the last version."""
    from models.bundle import open_bundle
    from schemas.results import Drift
    from tasks.code_drift import detector_drift

    encoders = (watched.folder / "state" / "artifacts").rglob("encoder.onnx")
    bundle = open_bundle(max(encoders, key=lambda path: path.stat().st_mtime).parent)
    first = Date.fromisoformat(next(iter(watched.nights.files)))
    rows = one_night(watched)
    window = {first + timedelta(days=at): rows for at in range(WINDOW)}
    tonight = (first + timedelta(days=WINDOW), rows)
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        detector_drift(bundle, "1", window, tonight, Drift(), NAME)
        taken.append(time.perf_counter() - begun)
    return taken


def one_night(watched: Project) -> pa.Table:
    """Accepted rows in the number that a night of the window has at most."""
    from deltalake import DeltaTable

    found: pa.Table = DeltaTable(watched.folder / "state" / "lake" / NAME / "samples").to_pyarrow_table()
    return found.slice(0, ROWS)


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

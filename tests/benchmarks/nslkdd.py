"""How the default detector ranks NSL-KDD's test file, a third of whose kinds of attack no training file has."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from harness import Measure, NotMeasured
from nights import Ranking, forest_scores, lof_scores, night_scores, pca_scores, peer_ranking, ranked
from project_setup import Nights, must, project, shared_data

SEED = 1
TRAINED = 4  # nights: the normal rows of the training file, so that a night's bounded sample holds all of its rows
FIRST = date(2026, 9, 1)
TIME, KEY = "seen_at", "row_id"
LABEL = "class"  # beside it stands how hard a row is, which tells whether it is an attack


def measure() -> Iterator[Measure]:
    """AUROC on KDDTest+ after the normal rows of KDDTrain+, through the command line, beside three other tools."""
    folder = shared_data() / "nsl_kdd"
    if not (folder / "NSL_KDD.zip").is_file():
        raise NotMeasured("the rows are missing: ../shared/data/nsl_kdd beside the checkout")
    with tempfile.TemporaryDirectory(prefix="sereno-bench-") as made:
        nights = nights_of(folder, Path(made))
        with project(nights) as watched:
            *trained, asked = nights.files
            watched.arrive(asked)
            for night in trained:
                must(*watched.command("validate", night))
            result = watched.train(trained[0], trained[-1], SEED)
            if not result["promoted"]:
                raise NotMeasured(f"the detector was not promoted: {result['reason']}")
            watched.run(asked, "--no-train")
            found: Ranking = ranked(*night_scores(watched, asked, watched.scores(asked)))
            peers = {"pca": pca_scores, "isolation forest": forest_scores, "lof": lof_scores}
            beside = {name: peer_ranking(watched, trained, [asked], peer).auroc for name, peer in peers.items()}
    yield Measure("auroc", [found.auroc], "", (">=", 0.96), beside)


def nights_of(folder: Path, made: Path) -> Nights:
    """Deal the normal rows of the training file into nights, in their order; the test file is the last night."""
    names = [*_names(folder), LABEL]
    with zipfile.ZipFile(folder / "NSL_KDD.zip") as packed:
        normal = [row for row in _rows(packed, "KDDTrain+") if row[len(names) - 1] == "normal"]
        test = list(_rows(packed, "KDDTest+"))
    size = -(-len(normal) // TRAINED)
    dealt = [*(normal[start : start + size] for start in range(0, len(normal), size)), test]
    files: dict[str, Path] = {}
    truth: dict[str, dict[str, bool]] = {}
    for at, rows in enumerate(dealt):
        night = (FIRST + timedelta(days=at)).isoformat()
        files[night], truth[night] = made / f"{night}.csv.gz", {}
        with gzip.open(files[night], "wt", encoding="utf-8", newline="") as lines:
            write = csv.writer(lines)
            write.writerow([KEY, TIME, *names[:-1]])
            for place, row in enumerate(rows):
                key = f"{night}-{place}"
                second = f"{night}T{place // 3600 % 24:02d}:{place // 60 % 60:02d}:{place % 60:02d}Z"
                write.writerow([key, second, *row[: len(names) - 1]])
                truth[night][key] = row[len(names) - 1] != "normal"
    return Nights(files, KEY, TIME, truth)


def _names(folder: Path) -> list[str]:
    with (folder / "Field Names.csv").open(encoding="utf-8", newline="") as lines:
        return [row[0] for row in csv.reader(lines)]


def _rows(packed: zipfile.ZipFile, name: str) -> Iterator[list[str]]:
    inside = next(path for path in packed.namelist() if Path(path).stem == name)
    with packed.open(inside) as opened:
        yield from csv.reader(io.TextIOWrapper(opened, encoding="utf-8", newline=""))

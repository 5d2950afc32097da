"""Whether an explanation names the columns that are to blame."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import planted_values
from harness import Measure
from planted_values import Planted, Row, find_room, plant_one, plant_two, share_found
from project_setup import (
    NAME,
    Nights,
    Project,
    must,
    project,
    read_frame,
    read_rows,
    real_nights,
    shared_data,
    simulated_nights,
)

FIRST = 3
STEPS = {"": 1.0, "_just_beyond": 0.1}
BARS = {"one_column_top3": 0.95, "two_columns_top3": 0.85}
PEERS = {"pca residuals": planted_values.named_by_pca, "z-score": planted_values.named_by_deviation}
KDD_NIGHTS, KDD_ROWS, KDD_ATTACKS = 9, 2_500, 0.05

Found = dict[str, float]


def measure() -> Iterator[Measure]:
    """Share of rows whose planted columns, one or two, are all among the first three contributions."""
    found: dict[str, list[float]] = {}
    peers: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="sereno-bench-") as folder:
        for source, nights in sources(Path(folder)).items():
            with project(nights) as watched:
                for name, shares in Explained(watched, source).shares().items():
                    found.setdefault(name, []).append(shares["sereno"])
                    others = {f"{peer}, {source}": shares[peer] for peer in PEERS}
                    peers[name] = peers.get(name, {}) | others
    for name, samples in found.items():
        # The set on which it does worst counts.
        yield Measure(name, samples, "", (">=", BARS[name.removesuffix("_just_beyond")]), peers[name], of="min")


def sources(folder: Path) -> dict[str, Nights]:
    """Return the sets to measure on: two real ones, or the simulated one where they are missing."""
    real = {"unsw_nights": real_nights(), "nsl_kdd": kdd_nights(folder / "nsl_kdd")}
    here = {name: nights for name, nights in real.items() if nights is not None}
    return here or {"simulated": simulated_nights(folder)}


@dataclass(frozen=True)
class Explained:
    """One set of nights, watched, trained on its first two thirds, and explained on its others.

    Args:
        watched: The project.
        source: What the set is called.
    """

    watched: Project
    source: str

    def shares(self) -> dict[str, Found]:
        """Return measure to share found, by Sereno and by its peers."""
        from models.transform import fit_transform
        from schemas.dataset import load_dataset

        nights = self.watched.nights
        dates = list(nights.files)
        trained, held_out = dates[: len(dates) * 2 // 3], dates[len(dates) * 2 // 3 :]
        version = self.train(trained)
        fit = read_frame([nights.files[date] for date in trained])
        dataset = load_dataset(self.watched.folder / "datasets" / f"{NAME}.yaml")
        transform = fit_transform(fit, dataset.features)
        normal = self.normal_rows(held_out)
        planted = {}
        for suffix, step in STEPS.items():
            room = find_room(fit, transform, dataset, step)
            planted[f"one_column_top3{suffix}"] = plant_one(normal, room)
            planted[f"two_columns_top3{suffix}"] = plant_two(normal, room)
            self.say(f"step {step}: planted in {len(room.values)} columns; left out: {room.left_out}")
        rows = [row for each in planted.values() for row in each.rows]
        named = {"sereno": self.named(rows, version)}
        encoded, night = transform.apply(fit), transform.apply(read_frame([self.watched.incoming(dates[-1])]))
        named |= {peer: name(encoded, night, transform, FIRST) for peer, name in PEERS.items()}
        return self.judged(planted, named)

    def train(self, dates: list[str]) -> str:
        """Validate nights and train on them; return the version."""
        self.watched.arrive(*dates)
        for date in dates:
            must(*self.watched.command("validate", date))
        return str(self.watched.train(dates[0], dates[-1], seed=planted_values.SEED)["version"])

    def normal_rows(self, dates: list[str]) -> list[Row]:
        """Return the rows of nights that nobody labelled as anomalous, all within the last night's time."""
        nights = self.watched.nights
        rows = [
            row
            for date in dates
            for row in read_rows(nights.files[date])
            if not nights.truth[date].get(row[nights.key], False)
        ]
        times = [row[nights.time] for row in read_rows(nights.files[dates[-1]])]
        return [row | {nights.time: times[at % len(times)]} for at, row in enumerate(rows)]

    def named(self, rows: list[Row], version: str) -> list[list[str]]:
        """Let Sereno explain the rows, as the last night; return the columns that it names first."""
        date = list(self.watched.nights.files)[-1]
        keys = self.write_night(date, rows)
        # --accept: the expectations rightly hold a night like this.
        must(*self.watched.command("validate", date, "--accept"))
        must(*self.watched.command("score", date, "--version", version))
        scores = self.watched.scores(date)
        first = {
            str(key): [item["column"] for item in items[:FIRST]]
            for key, items in zip(scores[self.watched.nights.key], scores["contributions"], strict=True)
        }
        self.say(f"{len(rows)} rows, {len(first)} of them scored, {sum(scores['is_alert'])} alerts")
        return [first.get(key, []) for key in keys]

    def judged(self, planted: dict[str, Planted], named: dict[str, list[list[str]]]) -> dict[str, Found]:
        """Share found, by measure and by who named the columns."""
        shares: dict[str, Found] = {}
        start = 0
        for name, each in planted.items():
            end = start + len(each.rows)
            shares[name] = {who: share_found(first[start:end], each.guilty) for who, first in named.items()}
            self.tell_misses(name, named["sereno"][start:end], each.guilty)
            start = end
        return shares

    def write_night(self, date: str, rows: list[Row]) -> list[str]:
        """Write the rows as a night, each with a key of its own; return the keys."""
        place = self.watched.nights.key
        keys = [str(10**9 + at) if row[place].isdigit() else f"{row[place]}-{at}" for at, row in enumerate(rows)]
        write_rows(self.watched.incoming(date), [row | {place: key} for row, key in zip(rows, keys, strict=True)])
        return keys

    def tell_misses(self, name: str, first: list[list[str]], guilty: list[tuple[str, ...]]) -> None:
        """Tell a person which columns were missed most."""
        pairs = list(zip(first, guilty, strict=True))
        planted = Counter(column for columns in guilty for column in columns)
        missed = Counter(column for named, columns in pairs for column in columns if column not in named)
        worst = ", ".join(f"{column} {count} of {planted[column]}" for column, count in missed.most_common(8))
        self.say(f"{name}: {len(guilty)} rows; missed most: {worst or 'none'}")

    def say(self, text: str) -> None:
        """Tell a person, beside the measures."""
        print(f"{self.source}: {text}", file=sys.stderr, flush=True)


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write rows of text as a compressed CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def kdd_nights(folder: Path) -> Nights | None:
    """Deal NSL-KDD's training file into nights: normal connections and a few attacks, in the file's order."""
    archive = shared_data() / "nsl_kdd" / "NSL_KDD.zip"
    if not archive.is_file():
        return None
    folder.mkdir(parents=True)
    names = (shared_data() / "nsl_kdd" / "Field Names.csv").read_text(encoding="utf-8").split()
    columns = [name.partition(",")[0] for name in names]
    with zipfile.ZipFile(archive) as packed:
        lines = packed.read("KDDTrain+.txt").decode().splitlines()
    normal: list[Row] = []
    attacks: list[Row] = []
    for line in lines:
        *values, label, _ = line.split(",")
        (normal if label == "normal" else attacks).append(dict(zip(columns, values, strict=True)))
    files, truth = {}, {}
    for night in range(KDD_NIGHTS):
        date = f"2026-09-{night + 1:02d}"
        few = int(KDD_ROWS * KDD_ATTACKS)
        usual = normal[night * KDD_ROWS : (night + 1) * KDD_ROWS - few]
        mixed = [(row, False) for row in usual] + [(row, True) for row in attacks[night * few : (night + 1) * few]]
        named = {str(night * KDD_ROWS + at): (row, is_attack) for at, (row, is_attack) in enumerate(mixed)}
        files[date] = folder / f"{date}.csv.gz"
        clock = [f"{date}T{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}Z" for at in range(0, 30 * KDD_ROWS, 30)]
        rows = [{"id": key, "seen": when} | row for (key, (row, _)), when in zip(named.items(), clock, strict=True)]
        write_rows(files[date], rows)
        truth[date] = {key: is_attack for key, (_, is_attack) in named.items()}
    return Nights(files, "id", "seen", truth)

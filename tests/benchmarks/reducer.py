"""Whether people's labels of earlier alerts take false alarms out of the list, and leave true and new ones in it."""

from __future__ import annotations

import csv
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml
from harness import Measure, NotMeasured
from project_setup import NAME, Project, must, project, read_rows, real_nights, shared_data

TRAINED, LABELLED = 14, 4
BUDGET = 100
SHORTCUTS = ("sttl", "dttl", "ct_state_ttl")
SHUFFLES = (1, 2, 3)
ENOUGH = 10
NORMAL = "Normal"

Keys = dict[str, set[str]]


@dataclass(frozen=True)
class Outcome:
    """Alerts of the nights after the labelled ones.

    Args:
        alerts: Date to keys of all of them.
        suppressed: Date to keys of those that were taken out of the list.
        abstained: Nights on which labels changed nothing.
    """

    alerts: Keys
    suppressed: Keys
    abstained: int

    def hidden(self, kinds: Mapping[str, str], *wanted: str) -> tuple[int, int]:
        """How many alerts of some kinds there were, and how many of them were hidden."""
        alerts, hidden = (
            sum(kinds[key] in wanted for keys in found.values() for key in keys)
            for found in (self.alerts, self.suppressed)
        )
        return alerts, hidden


def measure() -> Iterator[Measure]:
    """False alarms cut, true ones lost, kinds that nobody labelled, and shuffled labels, on 21 real nights."""
    nights = real_nights()
    if nights is None or len(nights.files) <= TRAINED + LABELLED:
        raise NotMeasured("the real nights are missing: ../shared/data/unsw_nights beside the checkout")
    dates = list(nights.files)
    kinds = attack_kinds(dates)
    with project(nights) as watched:
        prepare(watched, dates)
        alerts = {date: alerts_of(watched, date) for date in dates[TRAINED:]}
        labelled, later = (
            dates[TRAINED : TRAINED + LABELLED],
            {date: alerts[date] for date in dates[TRAINED + LABELLED :]},
        )
        words = {date: {key: word_of(kinds[key]) for key in alerts[date]} for date in labelled}
        outcome = labelled_outcome(watched, "all labels", words, later)
        everyone = sorted({kind for kind in kinds.values() if kind != NORMAL})
        tell(outcome, kinds, everyone, "all labels")
        false, cut = outcome.hidden(kinds, NORMAL)
        true, lost = outcome.hidden(kinds, *everyone)
        yield Measure("false_alerts_cut", [cut / false], "", (">=", 0.80))
        yield Measure("true_alerts_lost", [lost / true], "", ("<=", 0.08))
        yield new_kinds(watched, words, kinds, later, outcome)
        abstained = [shuffled(watched, words, later, seed) for seed in SHUFFLES]
        yield Measure("shuffled_abstains", abstained, "", ("==", 1.0), of="mean")


def attack_kinds(dates: list[str]) -> dict[str, str]:
    """Map each row to its kind; read by the benchmark, never by a run."""
    folder = shared_data() / "unsw_nights" / "labels"
    rows = [row for date in dates for row in read_rows(folder / f"{date}.csv.gz")]
    return {row["flow_id"]: row["attack_cat"] if row["label"] == "1" else NORMAL for row in rows}


def word_of(kind: str) -> str:
    """What a person says of a row."""
    return "false_alarm" if kind == NORMAL else "anomaly"


def prepare(watched: Project, dates: list[str]) -> None:
    """Train on the first nights without the testbed's shortcuts, and score the labelled ones."""
    file = watched.folder / "datasets" / f"{NAME}.yaml"
    dataset = yaml.safe_load(file.read_text(encoding="utf-8"))
    for column in SHORTCUTS:
        dataset["columns"][column]["feature"] = "none"
    dataset["detector"]["alert_budget"] = BUDGET
    dataset["reducer"] = {"policy": "hide"}
    file.write_text(yaml.safe_dump(dataset, sort_keys=False), encoding="utf-8")
    watched.arrive(*dates)
    for date in dates[:TRAINED]:
        must(*watched.command("validate", date))
    result = watched.train(dates[0], dates[TRAINED - 1], 1)
    if not result["promoted"]:
        raise NotMeasured(f"the detector was not promoted: {result['reason']}")
    for date in dates[TRAINED:]:
        watched.run(date, "--no-train")


def alerts_of(watched: Project, date: str) -> set[str]:
    """Keys of a night's alerts, hidden or not."""
    found = watched.scores(date)
    keys = zip(found[watched.nights.key], found["is_alert"], strict=True)
    return {str(key) for key, is_alert in keys if is_alert}


def labelled_outcome(watched: Project, name: str, words: dict[str, dict[str, str]], later: Keys) -> Outcome:
    """Label alerts in a file, as a person does, in a project that knows no labels yet; score the later nights anew."""
    state, kept = watched.folder / "state" / "state.db", watched.folder.with_name("state without labels.db")
    kept.write_bytes(state.read_bytes())
    try:
        file = watched.folder.with_name(f"{name}.csv")
        with file.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(["date", "key", "label"])
            writer.writerows([date, key, word] for date, said in words.items() for key, word in sorted(said.items()))
        must("--project", str(watched.folder), "incidents", "label", NAME, "--from", str(file))
        results = [json.loads(must(*watched.command("score", date, "--json")).out) for date in later]
        reports = [json.loads(report_of(watched, date)) for date in later]
        suppressed = {
            date: {row["key"] for row in page["suppressed"]} for date, page in zip(later, reports, strict=True)
        }
        abstained = sum(bool(page["reduction"]["reason"]) for page in reports)
        if any(len(suppressed[date]) != result["suppressed"] for date, result in zip(later, results, strict=True)):
            raise NotMeasured("the reports do not list all suppressed alerts")
        return Outcome(later, suppressed, abstained)
    finally:
        for beside in ("-wal", "-shm"):
            state.with_name(f"{state.name}{beside}").unlink(missing_ok=True)
        state.write_bytes(kept.read_bytes())


def report_of(watched: Project, date: str) -> str:
    """A night's report as JSON."""
    return (watched.folder / "reports" / NAME / f"{date}.json").read_text(encoding="utf-8")


def new_kinds(
    watched: Project, words: dict[str, dict[str, str]], kinds: dict[str, str], later: Keys, all_labels: Outcome
) -> Measure:
    """Take the labels of one kind away, kind after kind; the worst kind counts, of rare ones the counts are told."""
    counts = Counter(kinds[key] for keys in all_labels.alerts.values() for key in keys if kinds[key] != NORMAL)
    shares = []
    for kind, count in sorted(counts.items()):
        fewer = {date: {key: word for key, word in said.items() if kinds[key] != kind} for date, said in words.items()}
        outcome = labelled_outcome(watched, f"without {kind}", fewer, later)
        few = "" if count >= ENOUGH else f" (fewer than {ENOUGH} alerts: not in the measure)"
        tell(outcome, kinds, [kind], f"without labels of {kind}{few}")
        alerts, hidden = outcome.hidden(kinds, kind)
        if count >= ENOUGH:
            shares.append(hidden / alerts)
    return Measure("new_kind_hidden", shares, "", ("<=", 0.10), of="max")


def shuffled(watched: Project, words: dict[str, dict[str, str]], later: Keys, seed: int) -> float:
    """Share of the nights on which labels that were dealt out by chance change nothing."""
    places = [(date, key) for date, said in sorted(words.items()) for key in sorted(said)]
    dealt = [words[date][key] for date, key in places]
    random.Random(seed).shuffle(dealt)
    chance: dict[str, dict[str, str]] = {date: {} for date in words}
    for (date, key), word in zip(places, dealt, strict=True):
        chance[date][key] = word
    return labelled_outcome(watched, f"shuffled {seed}", chance, later).abstained / len(later)


def tell(outcome: Outcome, kinds: Mapping[str, str], wanted: list[str], what: str) -> None:
    """Say counts, which a share of a few alerts does not."""
    said = [
        f"{kind} {hidden} of {alerts}" for kind in (*wanted, NORMAL) for alerts, hidden in [outcome.hidden(kinds, kind)]
    ]
    print(f"{what}: hidden {', '.join(said)}", file=sys.stderr)

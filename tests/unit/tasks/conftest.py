"""Reports of made-up nights, and a reader of the pages that they become."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.incident_results import (
    Allowed,
    Incident,
    IncidentColumn,
    IncidentOfNight,
    IncidentWord,
    NightIncidents,
)
from schemas.results import (
    Alert,
    Change,
    ColumnDrift,
    Contribution,
    DetectorDrift,
    Drift,
    ExpectationCounts,
    ExpectationOutcome,
    LikeRow,
    ModelOutcome,
    NightReport,
    NightResult,
    QuarantineSample,
    RisenColumn,
    RowCounts,
    ScoreDistribution,
    SeenMeasure,
    TrainingSummary,
)
from schemas.tables import accepted_schema, scores_schema

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects what a page holds, and checks that its elements nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(text for tag, text in self.texts if tag not in ("style", "title", "desc")))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def made_result(status="done", **changes) -> NightResult:
    return NightResult(
        dataset="flows",
        date="2026-03-06",
        status=status,
        **{
            "rows": RowCounts(read=2531, accepted=2517, quarantined=14),
            "failures": {"src_bytes": 9, "(key)": 5},
            "expectations": ExpectationCounts(passed=1, failed=1),
            "model": ModelOutcome(version="17", champion="17", family="denoising", promoted=True, reason="better"),
            "threshold": 4.71,
            "alerts": 2,
            "seconds": {"ingest": 0.6, "train": 8.4},
            "warnings": ("a column moved",),
            **changes,
        },
    )


def made_alert(rank=1, text="F-0037") -> Alert:
    return Alert(
        rank=rank,
        key=text,
        event_time="2026-03-06T00:56:34.863000+00:00",
        entity=text,
        score=10.4478,
        p_value=1.1e-5,
        source_file=text,
        source_line=1038,
        contributions=tuple(Contribution(column=text, share=0.4, actual=text, expected=text) for _ in range(3)),
        like=LikeRow(
            key=text, night="2026-03-04", source_file=text, source_line=2_077, score=0.25, values={text: f"like {text}"}
        ),
    )


def made_report(status="done", text="some", **changes) -> NightReport:
    whole = NightReport(
        result=made_result(status),
        generated_at="2026-03-07T05:02:11+00:00",
        files=(
            {"name": text, "rows": 2531, "bytes": 93_211, "rejected": 1, "encoding": "utf-8", "sha256": "9f2c" * 16},
        ),
        expectation_outcomes=(
            made_outcome(
                observed="251 rows", expected="about 2,498 are usual (1,249 to 4,996 allowed)", policy="block"
            ),
            made_outcome(success=True, rule=text),
        ),
        quarantine_sample=(
            QuarantineSample(key=text, source_file=text, source_line=7, column=text, rule=text, value=text),
        ),
        training=TrainingSummary(epochs=3, loss=(3, 2, 1), held_out_loss=(3, 2, 2), nights=("2026-03-05",), width=58),
        scores=ScoreDistribution(
            edges=(0, 1, 2, 3), tonight=(90, 9, 1), calibration=(9, 1, 0), threshold=2.0, alert_curve=((0, 100), (2, 1))
        ),
        alerts=(made_alert(1, text), made_alert(2, text)),
        alert_budget=20,
        incidents=NightIncidents(
            incidents=(made_incident(7, text), made_incident(8, text, entity=None, affected=9)),
            allowed=(Allowed(reason=text, alerts=3, until="2026-04-01"),),
        ),
        history=tuple({"date": f"2026-03-0{i}", "status": "done", "read": 2500, "alerts": 10 + i} for i in range(1, 6)),
        gate=({"name": text, "passed": False, "observed": text, "expected": text, "message": text},),
        key=("flow_id",),
        drift=Drift(
            columns=(
                ColumnDrift(column=text, measure=text, value=0.41, usual=0.08, verdict="moved far", message=text),
                ColumnDrift(column="calm", measure=text, value=0.02, usual=0.05, verdict="steady"),
            ),
            verdict="moved far",
            message=text,
            nights=4,
            detector=made_seen(text),
        ),
        changes=(Change(what=text, before=text, tonight=text, notable=True), Change(what="x", before="1", tonight="2")),
        last_night="2026-03-05",
        contamination=0.02,
    )
    return whole.model_copy(update=changes)


def made_incident(number, text, **changes) -> Incident:
    columns = (IncidentColumn(column=text, share=0.71), IncidentColumn(column="bytes", share=0.2))
    times = {"first_time": "2026-03-06T01:00:00+00:00", "last_time": "2026-03-06T02:30:00+00:00"}
    seen = {"alerts": 12, "score": 4.2, "p_value": 0.001, "severity": "high", "columns": columns, "told": "new"}
    night = IncidentOfNight(date="2026-03-06", entities=(text, text), **times, **seen)
    word = IncidentWord(word="note", night="2026-03-06", note=text, by=text, at="2026-03-07T07:00:00+00:00")
    values = {"id": number, "dataset": "flows", "entity": text, "columns": columns, "first_night": "2026-03-06"}
    values |= {"last_night": "2026-03-06", "alerts": 12, "severity": "high", "status": "open", "night": night}
    return Incident(**{**values, "word": word, **changes})


def made_seen(text) -> DetectorDrift:
    nights = ((text, 0.5), ("2026-03-05", 0.5), ("2026-03-06", 0.97))
    measure = SeenMeasure(measure=text, value=0.97, usual=0.5, limit=0.58, verdict="moved far", nights=nights)
    return DetectorDrift(
        verdict="relations moved",
        message=text,
        advice=text,
        command=text,
        onset="sudden",
        since=text,
        version=text,
        nights=4,
        codes=measure,
        scores=measure,
        columns=(RisenColumn(column=text, times=9.8),),
    )


def made_outcome(**changes) -> ExpectationOutcome:
    return ExpectationOutcome(
        **{
            "expect": "volume",
            "column": None,
            "policy": "warn",
            "success": False,
            "rule": "volume",
            "observed": "",
            "expected": "",
            **changes,
        }
    )


def bare_report(status) -> NightReport:
    return NightReport(result=NightResult(dataset="flows", date="2026-03-06", status=status), generated_at="")


@pytest.fixture(scope="session")
def read_page():
    """Parse a page: `Page`."""
    return Page


@pytest.fixture(scope="session")
def a_result():
    """Make a night's result, some of its fields changed."""
    return made_result


@pytest.fixture(scope="session")
def an_incident():
    """Make one incident, whose values are the text that is given, some of its fields changed."""
    return made_incident


@pytest.fixture(scope="session")
def an_alert():
    """Make one alert, whose values are the text that is given."""
    return made_alert


@pytest.fixture(scope="session")
def an_outcome():
    """Make one failed expectation, some of its fields changed."""
    return made_outcome


@pytest.fixture(scope="session")
def a_report():
    """Make a report that has every part, whose values are the text that is given."""
    return made_report


@pytest.fixture(scope="session")
def a_bare_report():
    """Make a report of a night of which nothing but its status is known."""
    return bare_report


@dataclass(frozen=True)
class OneVersion:
    """What a night asks of a registry that has one version."""

    folder: Path
    hash: str

    def version(self, _name, version):
        from models.registry import VersionInfo

        return VersionInfo(version, self.hash, datetime(2026, 9, 9, tzinfo=UTC), {"nights": "2026-09-01"})

    def download(self, _name, _version):
        return self.folder


@pytest.fixture
def one_version(detector):
    """A registry whose one version is the detector."""
    return OneVersion(detector.folder, detector.hash)


FIRST = date(2026, 9, 20)
ROWS, ODD = 240, 15
BACKUP, ATTACK = "backup", "attack"


def spoilt(rows: pa.Table, dataset: Any, seed: int) -> pa.Table:
    """Rows of which the first ones are odd: big transfers by day (backups), then many packets by night (attacks)."""
    random = np.random.default_rng(seed)
    sent, packets = rows["sent"].to_numpy().copy(), rows["packets"].to_numpy().copy()
    sent[:ODD] = np.exp(random.normal(14, 0.3, ODD))
    packets[ODD : 2 * ODD] = np.round(np.exp(random.normal(11, 0.3, ODD)))
    for name, values in (("sent", sent), ("packets", packets)):
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(values))
    return rows.cast(accepted_schema(dataset))


@dataclass
class Nights:
    """A dataset's nights with two sorts of odd rows, one after the other, without a training.

    Args:
        services: Stores; the registry has one version.
        dataset: The dataset.
        make_rows: Usual rows.
        compute: Where parts are scored.
        folder: Scratch.
        kinds: What each odd row is, by date and key.
    """

    services: Any
    dataset: Any
    make_rows: Any
    compute: Any
    folder: Path
    kinds: dict[tuple[date, str], str] = field(default_factory=dict)

    def do(self, number: int) -> Any:
        """Do the night of a number, as a run does: accepted, sample, scores, what labels say, final row."""
        night = FIRST + timedelta(days=number)
        work = self.folder / f"night {number} {len(self.services.state.recent())}"
        work.mkdir()
        rows = spoilt(self.make_rows(ROWS, seed=number, start=10_000 * number), self.dataset, number)
        for place, key in enumerate(rows["sereno_key"].to_pylist()[: 2 * ODD]):
            self.kinds[night, key] = BACKUP if place < ODD else ATTACK
        paths = [work / "accepted-0.parquet", work / "accepted-1.parquet"]
        for path, part in zip(paths, (rows.slice(0, 100), rows.slice(100)), strict=True):
            pq.write_table(part, path)
        bundle = self.services.registry
        from tasks.reduce import reduce_alerts
        from tasks.score import score

        scored = score(self.dataset, paths, bundle.folder, bundle.hash, "4", self.compute, work, in_sample=False)
        scored = reduce_alerts(self._at_work(night, paths, scored), bundle.folder, bundle.hash)
        self._conclude(night, paths, scored, work)
        return scored

    def _at_work(self, night: date, paths: list[Path], scored: Any) -> Any:
        request = SimpleNamespace(date=night, iso=night.isoformat())
        known = {"dataset": self.dataset, "services": self.services, "request": request, "seed": 1}
        return SimpleNamespace(**known, accepted_files=tuple(paths), done=lambda _: scored)

    def _conclude(self, night: date, paths: list[Path], scored: Any, work: Path) -> None:
        from tasks.preprocess import preprocess

        state, lake, name = self.services.state, self.services.lake, self.dataset.name
        run = state.start_run(name, night, "run", f"print {night}")
        prepared = preprocess(self.dataset, paths, self.compute, work)
        written = {
            "accepted": (paths, accepted_schema(self.dataset)),
            "samples": ([prepared.sample], accepted_schema(self.dataset)),
            "scores": (list(scored.parts), scores_schema(self.dataset)),
        }
        versions = {
            table: lake.replace_night(name, table, night, files, schema) for table, (files, schema) in written.items()
        }
        result = NightResult(
            dataset=name, date=night.isoformat(), status="done", alerts=scored.alerts, model=ModelOutcome(version="4")
        )
        state.finish_run(
            run.id,
            "done",
            result=result.model_dump(mode="json"),
            versions=versions,
            counters=prepared.counters,
            sample_version=versions["samples"],
        )

    def alerts(self, number: int) -> dict[str, str]:
        """Keys of a night's alerts, and what they are."""
        night = FIRST + timedelta(days=number)
        pins = self.services.state.pins(self.dataset.name, "scores", [night])
        table = self.services.lake.read(self.dataset.name, "scores", pins, schema=scores_schema(self.dataset))
        keys = table.filter(table["is_alert"])["sereno_key"].to_pylist()
        return {key: self.kinds.get((night, key), "usual") for key in keys}


@pytest.fixture
def labelled_nights(tmp_path, make_rows, make_dataset, one_version, serial_compute):
    """Nights with two sorts of odd rows; give what the dataset file changes."""
    from infra.runtime.lake import Lake
    from infra.runtime.project import Project
    from infra.runtime.state import State
    from schemas.settings import Settings
    from tasks.services import Services

    project = Project(tmp_path)
    project.create_state()

    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        services = Services(project, Settings(), Lake(project.lake), state, one_version)

        def make(**changes):
            reducer = {"least_labels": 20, **changes}
            return Nights(services, make_dataset(reducer=reducer), make_rows, serial_compute, tmp_path)

        yield make

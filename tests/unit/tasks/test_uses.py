"""Codes, cleaned rows and made-up rows: a real lake, and detectors that are linear maps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from infra.runtime.lake import Lake
from models.bundle import open_bundle
from models.scoring import Reconstructor
from schemas.errors import BundleError, LakeError, NoInput, UsageError
from schemas.tables import accepted_schema
from tasks.uses import clean, embed, generate

NIGHT = date(2026, 9, 20)
BATCH = 300
READ = ["sent", "got", "ratio", "packets", "proto", "quick"]


@dataclass(frozen=True)
class Known:
    version: str
    bundle_hash: str


class OneVersion:
    """What `models.registry.Registry` promises of one version."""

    def __init__(self, detector):
        self.detector = detector

    def version(self, name, version):
        if version != "1":
            raise UsageError(f"The detector of {name} has no version {version}.")
        return Known(version, self.detector.hash)

    def download(self, _name, _version):
        return self.detector.folder


class SmallBatches(Lake):
    """A lake that hands out few rows at once, and none beyond a certain one."""

    last = 10**9

    def batches(self, *asked, **options):
        for number, batch in enumerate(super().batches(*asked, **options, batch_rows=BATCH)):
            assert batch.num_rows <= BATCH
            if number >= self.last:
                raise LakeError("the lake is gone")
            yield batch


@pytest.fixture
def rows(make_rows):
    return make_rows(1000, seed=5, start=50_000)


@pytest.fixture
def project_of(tmp_path):
    """Make the stores of a project: a night's accepted rows, and a detector as version 1, the champion."""

    def make(dataset, rows, detector, champion=True):
        lake = SmallBatches(tmp_path / "lake")
        version = lake.replace_night(dataset.name, "accepted", NIGHT, rows, accepted_schema(dataset))
        state = SimpleNamespace(
            pins=lambda _name, _table, nights: {night: version for night in nights if night == NIGHT},
            champion=lambda _name: Known("1", detector.hash) if champion else None,
            gone=lambda _name, _night: {},
            deleted=lambda _name, _version: None,
        )
        return SimpleNamespace(lake=lake, state=state, registry=OneVersion(detector))

    return make


@pytest.fixture
def services(project_of, make_dataset, rows, detector):
    return project_of(make_dataset(), rows, detector)


@pytest.fixture(scope="session")
def with_prior(tmp_path_factory, make_detector, make_rows):
    return make_detector(tmp_path_factory.mktemp("prior") / "bundle", make_rows(3000), prior=True)


@pytest.fixture(scope="session")
def unchanging(tmp_path_factory, make_detector, make_rows):
    """A detector that expects of each row what it is."""
    return make_detector(tmp_path_factory.mktemp("unchanging") / "bundle", make_rows(3000), constant=True)


def in_order(table, key="flow_id"):
    return table.sort_by(key)


def changed_columns(make_dataset, **changes):
    """The columns of the dataset, some of them changed or, with None, taken away."""
    columns = make_dataset().resolved()["columns"]
    merged = {name: {**columns.get(name, {}), **(changes.get(name) or {})} for name in {**columns, **changes}}
    return {name: column for name, column in merged.items() if changes.get(name, {}) is not None}


# --- embed -----------------------------------------------------------------------------------------------------------


def test_codes_stand_beside_what_names_a_row(services, make_dataset, rows, detector, tmp_path):
    written = embed(services, make_dataset(), NIGHT, tmp_path / "codes.parquet")
    found = in_order(pq.read_table(tmp_path / "codes.parquet"))
    assert (written.version, written.rows) == ("1", 1000)
    assert list(written.columns) == found.column_names == ["flow_id", "entity", "event_time", "code_1", "code_2"]
    assert [str(field.type) for field in found.schema] == [
        "int64",
        "string",
        "timestamp[us, tz=UTC]",
        "float",
        "float",
    ]
    assert found["entity"].to_pylist() == rows["host"].to_pylist()
    bundle = open_bundle(detector.folder)
    codes = Reconstructor(bundle.encoder)(bundle.transform.apply(rows.to_pandas()))
    assert np.abs(np.column_stack([found["code_1"], found["code_2"]]) - codes).max() < 1e-6


def test_rows_without_a_key_are_named_by_their_own_hash(project_of, make_dataset, rows, detector, tmp_path):
    dataset = make_dataset(key=[], entity=None, event_time=None)
    embed(project_of(dataset, rows, detector), dataset, NIGHT, tmp_path / "codes.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "codes.jsonl").read_text().splitlines()]
    assert list(lines[0]) == ["sereno_key", "code_1", "code_2"]
    assert {line["sereno_key"] for line in lines} == set(rows["sereno_key"].to_pylist())


def test_a_key_that_is_named_like_a_code_is_refused(project_of, make_dataset, rows, detector, tmp_path):
    columns = {**make_dataset().resolved()["columns"], "code_2": {"type": "integer"}}
    dataset = make_dataset(columns=columns, key=["code_2"])
    with pytest.raises(UsageError, match="code_2") as caught:
        embed(project_of(dataset, rows, detector), dataset, NIGHT, tmp_path / "codes.csv")
    assert "rename" in caught.value.hint


# --- clean -----------------------------------------------------------------------------------------------------------


def test_rows_that_are_as_expected_stay_and_what_is_missing_is_filled(
    project_of, make_dataset, rows, unchanging, tmp_path
):
    dataset = make_dataset()
    written = clean(project_of(dataset, rows, unchanging), dataset, NIGHT, tmp_path / "clean.parquet")
    found = in_order(pq.read_table(tmp_path / "clean.parquet"))
    assert list(written.columns) == found.column_names == list(dataset.columns)
    assert found.schema == pa.schema([accepted_schema(dataset).field(name) for name in dataset.columns])
    for name in ("flow_id", "start_time", "host", "note", "proto", "quick"):
        assert found[name].to_pylist() == rows[name].to_pylist()
    packets, got = (encoder_of(unchanging, name) for name in ("packets", "got"))
    assert found["packets"].to_pylist() == np.clip(rows["packets"], packets.low, packets.high).tolist()
    had = rows["got"].is_valid()
    lost = found["got"].filter(pc.invert(had)).to_numpy()
    expected = np.clip(rows["got"].filter(had).to_numpy(), got.low, got.high)
    assert found["got"].filter(had).to_numpy() == pytest.approx(expected, rel=1e-4)
    assert len(lost) > 10
    assert lost == pytest.approx(np.full(len(lost), got.fill), rel=1e-4)


def encoder_of(detector, column):
    return next(e for e in open_bundle(detector.folder).transform.encoders if e.column == column)


def test_a_value_far_out_comes_back_towards_what_the_others_say(project_of, make_dataset, rows, detector, tmp_path):
    dataset = make_dataset()
    true = rows["sent"].to_numpy()
    spoilt = np.where(np.arange(len(rows)) % 50 == 0, true * 30, true)
    services = project_of(dataset, rows.set_column(3, "sent", pa.array(spoilt)), detector)
    clean(services, dataset, NIGHT, tmp_path / "clean.parquet")
    found = in_order(pq.read_table(tmp_path / "clean.parquet"))
    encoder = encoder_of(detector, "sent")
    assert pc.min_max(found["sent"]).as_py()["max"] <= encoder.high
    odd = np.arange(len(rows)) % 50 == 0
    before, after = (np.abs(np.log(np.asarray(values)[odd] / true[odd])) for values in (spoilt, found["sent"]))
    assert np.median(after) < 0.5 * np.median(before)


@pytest.mark.parametrize("role", [None, "start_time"], ids=["a time", "the event time"])
def test_a_time_keeps_its_date_and_one_that_is_missing_is_of_the_night(
    role, project_of, make_dataset, make_detector, rows, tmp_path
):
    columns = changed_columns(make_dataset, start_time={"feature": "cyclic"})
    dataset = make_dataset(columns=columns, timezone="Europe/Madrid", event_time=role)
    detector = make_detector(tmp_path / "bundle", rows, dataset, rank=1)
    missing = np.arange(len(rows)) % 7 == 0
    times = pa.array(rows["start_time"].to_numpy(), rows["start_time"].type, mask=missing)
    services = project_of(dataset, rows.set_column(1, "start_time", times), detector)
    clean(services, dataset, NIGHT, tmp_path / "clean.parquet")
    found = in_order(pq.read_table(tmp_path / "clean.parquet"))["start_time"].to_pandas()
    moved = (found - rows["start_time"].to_pandas())[~missing].abs()
    assert moved.max() <= pd.Timedelta(hours=12)
    assert (moved == pd.Timedelta(0)).all() == (role is not None)
    assert set(found[missing].dt.tz_convert("Europe/Madrid").dt.date) == {NIGHT}


def test_columns_may_have_any_name(project_of, make_dataset, make_detector, rows, tmp_path):
    odd = {"ratio": "../../x", "packets": "frame", "start_time": "self", "note": "a/b=c\n"}
    names = [odd.get(name, name) for name in rows.column_names]
    columns = {odd.get(n, n): c for n, c in changed_columns(make_dataset, start_time={"feature": "cyclic"}).items()}
    dataset = make_dataset(columns=columns, event_time="self")
    renamed = rows.rename_columns(names)
    detector = make_detector(tmp_path / "bundle", renamed, dataset, prior=True)
    services = project_of(dataset, renamed, detector)
    clean(services, dataset, NIGHT, tmp_path / "clean.parquet")
    generate(services, dataset, 5, tmp_path / "made.parquet")
    assert pq.read_table(tmp_path / "clean.parquet").column_names == list(dataset.columns)
    assert {"../../x", "frame", "self"} <= set(pq.read_table(tmp_path / "made.parquet").column_names)
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "clean.parquet", "made.parquet", "lake"}


@pytest.mark.parametrize("key", [["flow_id"], []], ids=["key", "no key"])
def test_sensitive_columns_are_left_out_unless_they_name_a_row(
    key, project_of, make_dataset, rows, with_prior, tmp_path
):
    hidden = {"sensitive": True}
    dataset = make_dataset(
        key=key, columns=changed_columns(make_dataset, flow_id=hidden, host=hidden, proto=hidden, note=hidden)
    )
    services = project_of(dataset, rows, with_prior)
    cleaned = clean(services, dataset, NIGHT, tmp_path / "clean.csv")
    made = generate(services, dataset, 10, tmp_path / "made.csv")
    left = ["note", "proto"] if key else ["flow_id", "note", "proto"]
    assert list(cleaned.left_out) == left
    assert cleaned.columns[0] == ("flow_id" if key else "sereno_key")
    assert not {*left} & {*cleaned.columns}
    assert "tcp" not in (tmp_path / "clean.csv").read_text()
    assert made.left_out == ("proto",)
    assert list(made.columns) == [name for name in READ if name != "proto"]
    assert "tcp" not in (tmp_path / "made.csv").read_text()


# --- generate --------------------------------------------------------------------------------------------------------


def test_made_up_rows_have_the_columns_that_the_detector_reads_within_the_samples_range(
    project_of, make_dataset, rows, with_prior, tmp_path
):
    services = project_of(make_dataset(), rows, with_prior)
    written = generate(services, make_dataset(), 500, tmp_path / "made.parquet")
    found = pq.read_table(tmp_path / "made.parquet")
    assert (written.rows, len(found)) == (500, 500)
    assert {field.name: str(field.type) for field in found.schema} == {
        "sent": "double",
        "got": "double",
        "ratio": "double",
        "packets": "int64",
        "proto": "string",
        "quick": "bool",
    }
    assert all(column.null_count == 0 for column in found.columns)
    assert set(found["proto"].to_pylist()) == {"tcp", "udp"}
    for name in ("sent", "got", "ratio", "packets"):
        encoder, span = encoder_of(with_prior, name), pc.min_max(found[name]).as_py()
        assert encoder.low <= span["min"] < span["max"] <= encoder.high


def test_the_same_seed_gives_the_same_rows(project_of, make_dataset, rows, with_prior, tmp_path):
    services = project_of(make_dataset(), rows, with_prior)
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        generate(services, make_dataset(), 20, tmp_path / f"{name}.csv", seed=seed)
    one, again, other = ((tmp_path / f"{name}.csv").read_text() for name in ("one", "again", "other"))
    assert one == again != other


def test_a_family_without_a_prior_is_refused_with_those_that_have_one(services, make_dataset, tmp_path):
    with pytest.raises(UsageError, match="family linear, which has no prior") as caught:
        generate(services, make_dataset(), 5, tmp_path / "made.csv")
    assert "variational" in caught.value.hint
    assert "datasets/flows.yaml" in caught.value.hint
    assert "denoising" not in caught.value.hint


def test_with_all_columns_sensitive_there_is_nothing_to_make_up(project_of, make_dataset, rows, with_prior, tmp_path):
    dataset = make_dataset(columns=changed_columns(make_dataset, **{name: {"sensitive": True} for name in READ}))
    with pytest.raises(UsageError, match="sensitive"):
        generate(project_of(dataset, rows, with_prior), dataset, 5, tmp_path / "made.csv")


# --- what all of them refuse -----------------------------------------------------------------------------------------

USES = {
    "embed": lambda services, dataset, target, **options: embed(services, dataset, NIGHT, target, **options),
    "clean": lambda services, dataset, target, **options: clean(services, dataset, NIGHT, target, **options),
    "generate": lambda services, dataset, target, **options: generate(services, dataset, 5, target, **options),
}
EVERY = pytest.mark.parametrize("use", USES.values(), ids=USES.keys())


@EVERY
def test_a_file_of_another_form_is_refused_before_anything_is_opened(use, make_dataset, tmp_path):
    with pytest.raises(UsageError, match=r"\.xlsx"):
        use(None, make_dataset(), tmp_path / "out.xlsx")


@EVERY
def test_an_unknown_version_and_a_missing_champion_are_usage_errors(
    use, project_of, make_dataset, rows, with_prior, tmp_path
):
    services = project_of(make_dataset(), rows, with_prior, champion=False)
    with pytest.raises(UsageError, match="no version 7"):
        use(services, make_dataset(), tmp_path / "out.csv", version="7")
    with pytest.raises(UsageError, match="no champion yet"):
        use(services, make_dataset(), tmp_path / "out.csv")
    use(services, make_dataset(), tmp_path / "out.csv", version="1")
    assert (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("use", [embed, clean])
def test_a_night_without_accepted_rows_is_no_input(use, services, make_dataset, tmp_path):
    with pytest.raises(NoInput, match="2026-09-21") as caught:
        use(services, make_dataset(), date(2026, 9, 21), tmp_path / "out.csv")
    assert caught.value.exit_code == 7
    assert "sereno validate flows --date 2026-09-21" in caught.value.hint


@pytest.mark.parametrize("use", [embed, clean])
def test_a_night_of_which_all_rows_were_quarantined_is_a_file_without_rows(
    use, project_of, make_dataset, rows, detector, tmp_path
):
    services = project_of(make_dataset(), rows.slice(0, 0), detector)
    assert use(services, make_dataset(), NIGHT, tmp_path / "out.parquet").rows == 0
    assert len(pq.read_table(tmp_path / "out.parquet")) == 0


@pytest.mark.parametrize("use", [embed, clean])
@pytest.mark.parametrize(
    ("change", "said"),
    [({"ratio": None}, "ratio was number and is gone"), ({"proto": {"type": "integer"}}, "proto was category and is")],
    ids=["gone", "another type"],
)
def test_columns_that_are_not_those_of_the_training_are_named(
    use, change, said, project_of, make_dataset, rows, detector, tmp_path
):
    dataset = make_dataset(columns=changed_columns(make_dataset, **change))
    (name,) = change
    services = project_of(dataset, rows.drop_columns([name]), detector)
    with pytest.raises(UsageError, match=said) as caught:
        use(services, dataset, NIGHT, tmp_path / "out.csv")
    assert "sereno train flows" in caught.value.hint


@pytest.mark.parametrize("name", ["embed", "generate"])
def test_an_old_bundle_without_halves_says_to_train_again(
    name, project_of, make_dataset, make_detector, make_rows, rows, tmp_path
):
    old = make_detector(tmp_path / "bundle", make_rows(500), halved=False, prior=True)
    services = project_of(make_dataset(), rows, old)
    with pytest.raises(BundleError, match="earlier Sereno") as caught:
        USES[name](services, make_dataset(), tmp_path / "out.csv")
    assert "sereno train flows" in caught.value.hint
    assert clean(services, make_dataset(), NIGHT, tmp_path / "clean.csv").rows == 1000


@EVERY
def test_a_bundle_that_was_changed_is_refused(use, project_of, make_dataset, make_detector, make_rows, rows, tmp_path):
    made = make_detector(tmp_path / "bundle", make_rows(500), prior=True)
    (made.folder / "decoder.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="was changed"):
        use(project_of(make_dataset(), rows, made), make_dataset(), tmp_path / "out.csv")


@pytest.mark.parametrize("use", [embed, clean])
def test_a_lake_that_fails_on_the_way_leaves_the_file_that_was_there(use, services, make_dataset, tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("before")
    services.lake.last = 2
    with pytest.raises(LakeError, match="gone"):
        use(services, make_dataset(), NIGHT, target)
    assert target.read_text() == "before"
    assert not list(tmp_path.glob(".*"))


def test_the_file_may_lie_where_the_command_runs(services, make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert embed(services, make_dataset(), NIGHT, Path("codes.csv")).rows == 1000
    assert (tmp_path / "codes.csv").exists()

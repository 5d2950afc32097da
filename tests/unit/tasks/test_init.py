from __future__ import annotations

import json
from datetime import date as Date

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.dataset import load_dataset
from schemas.errors import NoInput, UnreadableInput, UsageError
from schemas.settings import load_settings
from schemas.yaml_source import parse_yaml
from tasks.dataset_yaml import comment, entry, flow, item, scalar
from tasks.init import derive_name, propose_dataset, write_project

TEXT = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    [
        "NO",
        "on",
        "1e3",
        "12:30",
        "2026-09-01",
        "null",
        "~",
        "- a",
        "a: b",
        "x #y",
        "{a}",
        "[",
        "'",
        '"',
        "\\",
        "*a",
        "&a",
        "!t",
        "%x",
    ]
)


@given(key=TEXT, values=st.lists(TEXT, max_size=3), why=TEXT)
def test_any_text_is_read_back_from_yaml(tmp_path_factory, key, values, why):
    lines = [
        "columns:",
        *entry(key, {"values": values, "left_out": why}, why, indent=2),
        "list:",
        *item({"a": key}, why),
    ]
    read = parse_yaml("\n".join(lines) + "\n", tmp_path_factory.getbasetemp()).values
    assert read == {"columns": {key: {"values": values, "left_out": why}}, "list": [{"a": key}]}


@example(1e-20)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans() | st.none())
def test_numbers_are_read_back_from_yaml(tmp_path_factory, value):
    read = parse_yaml(f"a: {scalar(value)}\n", tmp_path_factory.getbasetemp()).values["a"]
    assert read == value


def test_a_name_of_ten_thousand_characters_is_a_key(tmp_path):
    name = "x" * 10_000
    assert parse_yaml("\n".join(["c:", *entry(name, [1], "why", indent=2)]), tmp_path).values == {"c": {name: [1]}}


def test_a_comment_is_one_bounded_line():
    assert comment("a\nb\u2028c\x00d") == "# a b c d"
    assert len(comment("x" * 10_000)) < 200
    assert flow({}) == "{}"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])  # all files are written anew
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=30).map(
            str.strip
        ),
        min_size=2,
        max_size=4,
        unique=True,
    ),
    values=st.lists(TEXT, min_size=3, max_size=8),
)
def test_any_names_and_values_give_a_dataset_file_that_loads(tmp_path, names, values):
    names = [name for name in names if name and '"' not in name]
    rows = [dict.fromkeys(names, value) for value in values]
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"fixed": 1}]))
    found = propose_dataset(["odd.jsonl"], tmp_path)
    write_project(tmp_path, found, overwrite=True)
    assert load_dataset(tmp_path / "datasets" / "odd.yaml") == found.dataset


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("in/{date:%Y-%m-%d}.csv.gz", "in"),
        ("in/Flow Log.{date:%Y%m%d}.csv", "flow_log"),
        ("{date:%Y}/{date:%m}/{date:%d}/conn.log", "conn"),
        ("fans/[bd]*.csv", "fans"),
        ("x/2nd-test.csv", "data_2nd_test"),
        ("{date}.csv", "data"),
        ("a/" + "long" * 40 + ".csv", "long" * 16),
    ],
)
def test_names_of_datasets(template, name):
    assert derive_name(template) == name


def test_a_project_is_written_and_read_back(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a-2026-09-01.csv").write_text("id,v\n1,2\n2,3\n")
    project = tmp_path / "project"
    found = propose_dataset([str(tmp_path / "in" / "a-*.csv")], project, budget=5)
    written = {path.relative_to(project).as_posix() for path in write_project(project, found)}
    profiles = {f"profiles/{name}.yaml" for name in ("local", "ci", "production")}
    schemas = {".schemas/dataset.schema.json", ".schemas/sereno.schema.json"}
    assert written == {"sereno.yaml", "datasets/a.yaml", *schemas, *profiles}
    assert load_dataset(project / "datasets" / "a.yaml") == found.dataset
    assert found.dataset.detector.alert_budget == 5
    assert load_settings(project, environ={}).settings.inputs.protocols == ("file",)
    with pytest.raises(UsageError, match="exists"):
        write_project(project, found)
    assert "sereno.yaml" not in {path.name for path in write_project(project, found, overwrite=True)}


def test_relative_addresses_stay_relative_to_the_project_folder(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for day in (1, 2):
        (tmp_path / "in" / f"{day:02d}.09.2026.tsv").write_text("id\tv\n1\t2\n2\t3\n")
    monkeypatch.chdir(tmp_path)
    assert propose_dataset(["in/*.tsv"], tmp_path).dataset.source.path == "in/{date:%d.%m.%Y}.tsv"
    assert propose_dataset(["in/*.tsv"], tmp_path / "p").dataset.source.path == "../in/{date:%d.%m.%Y}.tsv"
    expanded = propose_dataset(["in/01.09.2026.tsv", "in/02.09.2026.tsv"], tmp_path)
    assert expanded.dataset.source.path == "in/{date:%d.%m.%Y}.tsv"
    assert propose_dataset(["in"], tmp_path).dataset.name == "in"
    inside = propose_dataset([str(tmp_path / "in" / "*.tsv")], tmp_path)
    assert inside.dataset.source.path == "in/{date:%d.%m.%Y}.tsv"


def test_files_without_a_date_are_split_by_their_time_column(tmp_path):
    (tmp_path / "all.csv").write_text(
        "t;v\n" + "".join(f"{i // 24 + 1:02d}/09/26 {i % 24:02d};{i % 7},5\n" for i in range(240))
    )
    dataset = propose_dataset(["all.csv"], tmp_path).dataset
    assert (dataset.source.date_column, dataset.columns["t"].format, dataset.source.decimal) == (
        "t",
        "%d/%m/%y %H",
        ",",
    )
    assert next(rule for rule in dataset.expectations if rule.expect == "volume").usual == 24


def test_names_that_are_our_own_are_renamed(tmp_path):
    (tmp_path / "x.csv").write_text(",night,score,v\n0,1,2,3\n1,2,3,5\n")
    dataset = propose_dataset(["x.csv"], tmp_path).dataset
    assert dataset.source.rename == {"": "unnamed_1", "night": "night_data", "score": "score_data"}
    assert list(dataset.columns) == ["unnamed_1", "night_data", "score_data", "v"]


def test_names_that_differ_only_by_case_are_renamed(tmp_path):
    (tmp_path / "x.csv").write_text("a,A,Night,SCORE,v\n0,1,2,3,5\n1,2,3,5,4\n")
    dataset = propose_dataset(["x.csv"], tmp_path).dataset
    assert dataset.source.rename == {"A": "A_2", "Night": "Night_data", "SCORE": "SCORE_data"}
    assert list(dataset.columns) == ["a", "A_2", "Night_data", "SCORE_data", "v"]


def test_the_nights_that_the_files_hold_are_told(tmp_path):
    for day in (3, 1):
        (tmp_path / f"n-2026-09-{day:02d}.csv").write_text("v\n1\n2\n")
    (tmp_path / "all.csv").write_text("when,v\n2026-09-05T23:59:59Z,1\n2026-09-07T00:00:00Z,2\n")
    named = propose_dataset(["n-*.csv"], tmp_path)
    assert named.nights == (Date(2026, 9, 1), Date(2026, 9, 3))
    assert "nights 2026-09-01 to 2026-09-03" in named.notes
    assert propose_dataset(["all.csv"], tmp_path).nights == (Date(2026, 9, 5), Date(2026, 9, 7))


def test_a_file_without_any_date_is_told_what_to_do(tmp_path):
    (tmp_path / "measure.csv").write_text("v,w\n1,2\n2,3\n")
    found = propose_dataset(["measure.csv"], tmp_path)
    assert found.nights is None
    assert any("measure_2026-09-01.csv" in note and "1 file" not in note for note in found.notes)
    assert any(note.endswith("of 1 file") for note in found.notes)


@pytest.mark.parametrize(("rows", "budget"), [(10, 1), (60, 3), (2_000, 20)])
def test_a_small_night_gets_a_small_alert_budget(tmp_path, rows, budget):
    (tmp_path / "x.csv").write_text("v\n" + "".join(f"{i % 7}\n" for i in range(rows)))
    assert propose_dataset(["x.csv"], tmp_path).dataset.detector.alert_budget == budget
    assert propose_dataset(["x.csv"], tmp_path, budget=7).dataset.detector.alert_budget == 7


def test_a_file_whose_rows_never_fit_its_first_line_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text('a,"new\nline",b\n' + "1,2,3\n" * 20)
    with pytest.raises(UnreadableInput, match="20 of 21 rows do not have the 2 fields of its first line"):
        propose_dataset(["x.csv"], tmp_path)


def test_nothing_for_the_detector_is_told(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "1,x\n" * 200)
    notes = propose_dataset(["x.csv"], tmp_path).notes
    assert any(note.startswith("no column is left for the detector") for note in notes)


def test_files_without_a_header_get_names(tmp_path):
    (tmp_path / "x.txt").write_text("".join(f"{i} {i * 2}.5   x  \n" for i in range(20)))
    source = propose_dataset(["x.txt"], tmp_path).dataset.source
    assert (source.header, source.names, source.delimiter) == (False, ("column_1", "column_2", "column_3"), " ")


def test_mistakes_are_told_in_words(tmp_path):
    (tmp_path / "a.csv").write_text("flow_id,v\n1,2\n2,3\n")
    (tmp_path / "b.csv").write_text("other\n1\n")
    (tmp_path / "c.csv").write_text("")
    (tmp_path / "d.csv").write_text("<html><body>no</body></html>\n")
    with pytest.raises(UsageError, match=r"no such column \(did you mean `flow_id`\?\)"):
        propose_dataset(["a.csv"], tmp_path, key=["flowid"])
    with pytest.raises(UsageError, match="do not read as times"):
        propose_dataset(["a.csv"], tmp_path, time="v")
    with pytest.raises(NoInput, match="no file matches"):
        propose_dataset(["z*.csv"], tmp_path)
    with pytest.raises(UnreadableInput, match="differ in their columns"):
        propose_dataset(["a.csv", "b.csv"], tmp_path)
    with pytest.raises(UnreadableInput, match="an empty file"):
        propose_dataset(["c.csv"], tmp_path)
    with pytest.raises(UnreadableInput, match="not a table"):
        propose_dataset(["d.csv"], tmp_path)


REAL = {
    "unsw_nights/2026-09-0[1-7].csv.gz": ("unsw_nights", ("flow_id",), "start_time"),
    "zeek/*": ("zeek", ("uid",), "ts"),
    "firewall_log/log2.csv": ("log2", (), None),
    "skab/valve1*.csv": ("valve1", (), "datetime"),
    "batadal/*.csv": ("batadal_dataset04", (), "DATETIME"),
    "ai4i2020/*.csv": ("ai4i2020", ("UDI",), None),
    "cmapss/train_FD001.txt": ("train_fd001", (), None),
    "nab/realKnownCause__nyc_taxi.csv": ("realknowncause_nyc_taxi", (), "timestamp"),
    "ims_bearing/1st*.csv": ("1st_test_resmaple_10minutes", (), "Datetime"),
}


@pytest.mark.parametrize("pattern", REAL)
def test_real_files_give_a_dataset_that_loads(tmp_path, shared_data, pattern):
    name, key, time = REAL[pattern]
    dataset = propose_dataset([str(shared_data / pattern)], tmp_path).dataset
    assert (dataset.name.removeprefix("data_"), dataset.key, dataset.event_time) == (name, key, time)
    assert dataset.features

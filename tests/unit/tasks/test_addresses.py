from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from schemas.dataset import Dataset
from schemas.errors import ForbiddenAddress, NoInput
from schemas.settings import InputSettings
from tasks.addresses import available_dates, check_allowed, parse_address, resolve_inputs

NIGHT = date(2026, 9, 20)
ANYWHERE = InputSettings()


def dataset(path: str | tuple[str, ...]) -> Dataset:
    return Dataset.model_validate({"name": "d", "source": {"path": path}, "columns": {"a": {"type": "text"}}})


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a\n1\n")


def test_a_template_becomes_the_file_of_the_date(tmp_path):
    put(tmp_path, "in/2026-09-20.csv", "in/2026-09-21.csv")
    found = resolve_inputs(dataset("in/{date:%Y-%m-%d}.csv"), NIGHT, tmp_path, ANYWHERE)
    assert found == (str(tmp_path / "in/2026-09-20.csv"),)


def test_patterns_are_sorted_and_folders_left_out(tmp_path):
    put(tmp_path, "in/20260920-b.csv", "in/20260920-a.csv", "in/20260920-c/x.csv")
    found = resolve_inputs(dataset("in/{date:%Y%m%d}-*"), NIGHT, tmp_path, ANYWHERE)
    assert [Path(p).name for p in found] == ["20260920-a.csv", "20260920-b.csv"]


def test_two_templates_that_lead_to_one_file_read_it_once(tmp_path):
    put(tmp_path, "a.csv")
    assert len(resolve_inputs(dataset(("a.csv", "*.csv")), NIGHT, tmp_path, ANYWHERE)) == 1


def test_a_file_whose_name_holds_brackets_is_found(tmp_path):
    put(tmp_path, "in [1].csv")
    assert len(resolve_inputs(dataset("in [1].csv"), NIGHT, tmp_path, ANYWHERE)) == 1


def test_a_missing_night_names_the_nearest_that_exist(tmp_path):
    put(tmp_path, *(f"2026/09/{day:02d}/x.csv" for day in (1, 17, 18, 22)))
    with pytest.raises(NoInput, match=r"no file matches .*2026/09/20/x\.csv for 2026-09-20") as caught:
        resolve_inputs(dataset("{date:%Y}/{date:%m}/{date:%d}/x.csv"), NIGHT, tmp_path, ANYWHERE)
    assert "nearest that exist: 2026-09-17, 2026-09-18, 2026-09-22" in str(caught.value)


def test_a_folder_is_no_file_and_the_hint_says_what_to_write(tmp_path):
    put(tmp_path, "in/a.csv")
    with pytest.raises(NoInput, match="is a folder") as caught:
        resolve_inputs(dataset("in"), NIGHT, tmp_path, ANYWHERE)
    assert "in/*" in str(caught.value.hint)


def test_dates_of_a_template_are_listed(tmp_path):
    put(tmp_path, "log.2026_09_01.csv", "log.2026_09_03.csv", "log.2026_13_01.csv", "log.x.csv")
    assert list(available_dates("log.{date:%Y_%m_%d}.csv", tmp_path)) == [date(2026, 9, 1), date(2026, 9, 3)]


@pytest.mark.parametrize("address", ["s3://bucket/x.csv", "HTTP://host/x", "memory://x"])
def test_other_protocols_are_refused_by_default(tmp_path, address):
    with pytest.raises(ForbiddenAddress, match="is not allowed"):
        resolve_inputs(dataset(address), NIGHT, tmp_path, ANYWHERE)


def test_chained_addresses_are_refused(tmp_path):
    with pytest.raises(ForbiddenAddress, match="chains"):
        resolve_inputs(dataset("zip://a.csv::file://b.zip"), NIGHT, tmp_path, ANYWHERE)


@pytest.mark.parametrize(
    "path", ["../out.csv", "allowed/../../out.csv", "link.csv", "allowed/link.csv", "allowed/*.csv"]
)
def test_nothing_outside_the_roots_is_read(tmp_path, path):
    root = tmp_path / "project"
    put(root, "allowed/a.csv")
    put(tmp_path, "out.csv")
    (root / "allowed/link.csv").symlink_to(tmp_path / "out.csv")
    (root / "link.csv").symlink_to(tmp_path / "out.csv")
    with pytest.raises(ForbiddenAddress, match="allowed root"):
        resolve_inputs(dataset(path), NIGHT, root, InputSettings(roots=("allowed",)))


def test_files_below_a_root_are_read(tmp_path):
    put(tmp_path, "allowed/deep/a.csv")
    settings = InputSettings(roots=("allowed",))
    assert len(resolve_inputs(dataset("allowed/*/a.csv"), NIGHT, tmp_path, settings)) == 1


@pytest.mark.parametrize("path", ["b/../c/x", "b/%2e%2e/c/x", "bucket2/x"])
def test_roots_of_other_protocols_hold_too(tmp_path, path):
    settings = InputSettings(protocols=("s3",), roots=("s3://b",))
    with pytest.raises(ForbiddenAddress):
        check_allowed(parse_address(f"s3://{path}", tmp_path), settings, tmp_path)
    check_allowed(parse_address("s3://b/x", tmp_path), settings, tmp_path)


def test_an_allowed_protocol_is_listed_by_fsspec(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/sereno-nights/2026-09-20-a.csv", b"a\n1\n")
    try:
        found = resolve_inputs(
            dataset("memory://sereno-nights/{date}-*.csv"), NIGHT, tmp_path, InputSettings(protocols=("memory",))
        )
        assert found == ("memory:///sereno-nights/2026-09-20-a.csv",)
    finally:
        memory.rm("/sereno-nights", recursive=True)


@pytest.mark.parametrize(
    ("text", "shown", "name"),
    [
        ("https://ana:s3cret@host/in/a.csv", "https://***@host/in/a.csv", "a.csv"),
        ("https://t0ken@host/in/a.csv", "https://***@host/in/a.csv", "a.csv"),
        ("https://host/in/a.csv.gz?sv=1&sig=s3cret/x%3D", "https://host/in/a.csv.gz?***", "a.csv.gz"),
        ("sftp://ana:s3cret@host:22/in/a.csv", "sftp://ana:***@host:22/in/a.csv", "a.csv"),
        ("s3://key:s3cret@bucket/a@b:c.csv", "s3://key:***@bucket/a@b:c.csv", "a@b:c.csv"),
        ("s3://bucket/a:b@c.csv", "s3://bucket/a:b@c.csv", "a:b@c.csv"),
        ("abfs://container@account/in/a.csv", "abfs://container@account/in/a.csv", "a.csv"),
        ("in/a:b@c?d.csv", "/project/in/a:b@c?d.csv", "a:b@c?d.csv"),
    ],
)
def test_an_address_is_shown_and_stored_without_its_secrets(text, shown, name):
    address = parse_address(text, Path("/project"))
    assert (address.shown, address.name) == (shown, name)


@pytest.mark.parametrize(("protocol", "error"), [("file", ForbiddenAddress), ("memory", NoInput)])
def test_an_address_that_leads_nowhere_is_told_without_its_secrets(protocol, error):
    secret = dataset("memory://ana:s3cret@host/{date}.csv?sig=s3cret")
    with pytest.raises(error) as caught:
        resolve_inputs(secret, NIGHT, Path("/project"), InputSettings(protocols=(protocol,)))
    assert "ana:***@host" in str(caught.value)
    assert "s3cret" not in str(caught.value)

"""Each misconfiguration is planted, found, and its mend is named; a project in which all is well has nothing wrong."""

from __future__ import annotations

import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.runtime.disk import fs_of
from tasks import doctor_datasets, doctor_folders, doctor_machine
from tasks.doctor import checks
from tasks.doctor_secrets import is_tracked

TODAY = datetime.now(UTC).date()


def test_where_all_is_well_nothing_is_wrong_and_nothing_is_made(sick):
    findings = sick.findings()
    assert [finding for finding in findings if not finding.ok] == []
    assert not sick.project.state.exists()
    with sick.state() as state:
        run = state.start_run("flows", TODAY, "run", "fp")
        state.finish_run(run.id, "done", versions={"samples": 1}, counters={"rows": 1000})
    assert [finding for finding in sick.findings() if not finding.ok] == []


def test_every_check_has_a_name_of_its_own_and_says_what_it_finds_and_what_mends_it():
    names = [check.name for check in checks()]
    assert len(set(names)) == len(names) >= 10
    assert all(check.finds and check.mend for check in checks())


def test_a_check_that_fails_is_a_finding_and_keeps_no_other(sick, monkeypatch):
    def broken(*_):
        raise PermissionError(13, "denied")

    monkeypatch.setattr(doctor_datasets, "available_dates", broken)
    found = sick.one_of = sick.found("input")
    assert [(one.level, one.found) for one in found] == [("wrong", "[Errno 13] denied")]
    assert any(finding.check == "disk" for finding in sick.findings())


# --- folders, disk, clock -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state", "reports", "lake"])
def test_a_folder_that_cannot_be_written_is_found_and_the_stores_are_left_alone(sick, name):
    (sick.project.root / "taken").write_text("a file")
    sick.settings(f"{name}: {sick.project.root}/taken/{name}\n")
    found = sick.one("folders", "wrong")
    assert f"taken is a file, and {sick.project.root}/taken/{name} is to be a folder" in found.found
    assert f"set `{name}` elsewhere" in found.hint
    sick.settings(f"{name}: /proc/{name}\n")
    assert "/proc cannot be written" in sick.one("folders", "wrong").found


def test_a_state_folder_that_is_open_to_others_is_noted(sick):
    sick.state().open().close()
    assert sick.found("folders") == []
    sick.project.state.chmod(0o755)
    assert "chmod 700" in sick.one("folders", "note").hint


@pytest.mark.parametrize(("least", "few", "level"), [(1 << 60, 1 << 60, "wrong"), (0, 1 << 60, "note")])
def test_a_full_disk_is_wrong_and_one_that_is_nearly_full_is_noted(sick, monkeypatch, least, few, level):
    monkeypatch.setattr(doctor_folders, "MIN_FREE_BYTES", least)
    monkeypatch.setattr(doctor_folders, "FEW_FREE_BYTES", few)
    found = sick.one("disk", level)
    assert found.what == "disk of state, reports"
    assert " free of " in found.found
    assert "sereno vacuum --dry-run" in found.hint


def test_a_clock_that_files_do_not_agree_with_is_found(sick, monkeypatch):
    there = time.time
    monkeypatch.setattr(doctor_folders.time, "time", lambda: there() - 600)
    assert "600 s off this machine's clock" in sick.one("clock", "wrong").found


def test_a_run_of_the_future_says_that_the_clock_was_set_back(sick):
    with sick.state() as state:
        run = state.start_run("flows", TODAY, "run", "fp")
        state.finish_run(run.id, "done")
        from sqlalchemy import update

        from infra.runtime.state_database import writing
        from infra.runtime.state_tables import runs

        with writing(state._engine) as connection:
            connection.execute(update(runs).values(started_at=datetime.now(UTC) + timedelta(hours=3)))
    assert "the clock was set back" in sick.one("times", "wrong").found


# --- database, cluster, memory, environment -------------------------------------------------------------------------

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
31 22 0:40 / /data rw - nfs4 server:/data rw
32 31 0:41 / /data/local\\040disk rw - xfs /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"), [("/data/x/state.db", "nfs4"), ("/data/local disk/state.db", "xfs"), ("/home2/x", "ext4")]
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(tmp_path, path, kind):
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert fs_of(Path(path), tmp_path / "mountinfo") == kind
    assert fs_of(Path(path), tmp_path / "none") == ""


def test_sqlite_on_a_network_file_system_is_found(sick, monkeypatch, tmp_path):
    (tmp_path / "mountinfo").write_text(f"22 1 0:40 / {tmp_path} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(doctor_machine, "fs_of", lambda path: fs_of(path, tmp_path / "mountinfo"))
    assert "(nfs4), whose locks cannot be relied on" in sick.one("database", "wrong").found


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


DATABASES = {
    "relative": ("sqlite:///state.db", "is the relative path state.db", "sqlite:////absolute/path.db"),
    "nonsense": ("no address", "is no SQLAlchemy address", "sqlite:////absolute/path.db"),
    "driver": ("postgresql+nosuchdriver://ana@db/x", "the driver nosuchdriver of `database` is not installed", "pip"),
}


@pytest.mark.parametrize(("url", "words", "mend"), DATABASES.values(), ids=DATABASES)
def test_an_address_of_the_database_that_cannot_work_is_found(sick, url, words, mend):
    found = sick.one("database", "wrong", SERENO_DATABASE=url)
    assert words in found.found
    assert mend in found.hint


def test_a_database_server_that_does_not_answer_is_found_without_its_password(sick):
    url = f"postgresql+asyncpg://ana:hunter2@127.0.0.1:{free_port()}/x"
    found = sick.one("database", "wrong", SERENO_DATABASE=url)
    assert "does not answer: Connection refused" in found.found
    assert "hunter2" not in repr(sick.findings(SERENO_DATABASE=url))


CLUSTERS = {
    "off machine": ("{kind: address, address: 'tcp://10.0.0.1:8786'}", "wrong", "not TLS"),
    "none": ("{kind: address}", "wrong", "cluster.address is empty"),
    "no port": ("{address: 'tcp://127.0.0.1'}", "wrong", "has no port"),
    "silent": ("{address: 'tcp://127.0.0.1:PORT'}", "wrong", "no Dask scheduler answers"),
    "unused": ("{kind: threads, address: 'tcp://127.0.0.1:8786'}", "note", "is not used"),
}


@pytest.mark.parametrize(("text", "level", "words"), CLUSTERS.values(), ids=CLUSTERS)
def test_a_scheduler_that_cannot_be_used_is_found(sick, text, level, words):
    sick.settings(f"cluster: {text.replace('PORT', str(free_port()))}\n")
    assert words in sick.one("cluster", level).found


def test_a_scheduler_that_answers_is_well(sick):
    with socket.create_server(("127.0.0.1", 0)) as server:
        sick.settings(f"cluster: {{address: 'tcp://127.0.0.1:{server.getsockname()[1]}'}}\n")
        assert sick.found("cluster") == []


def test_workers_that_may_use_more_memory_than_there_is_are_found(sick):
    sick.settings("cluster: {workers: 500, worker_memory: 64GiB}\n")
    assert "500 workers may use 68.7 GB each" in sick.one("memory", "wrong").found
    sick.settings("cluster: {workers: 1, worker_memory: 2 litres}\n")
    assert "which is no size" in sick.one("memory", "wrong").found
    sick.settings("cluster: {kind: threads, workers: 500, worker_memory: 64GiB}\n")
    assert sick.found("memory") == []


def test_the_limit_of_a_container_counts(tmp_path):
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "less").write_text("1000000\n")
    assert doctor_machine.memory_bytes((tmp_path / "less",)) == 1_000_000
    assert doctor_machine.memory_bytes((tmp_path / "max", tmp_path / "none")) > 1_000_000


def test_variables_that_overrule_the_file_are_told_with_its_line(sick):
    sick.settings("cluster:\n  kind: threads\n")
    found = sick.one("environment", "note", SERENO_CLUSTER__KIND="processes", SERENO_SEED="3")
    assert found.found == "the variable SERENO_CLUSTER__KIND overrules sereno.yaml, line 2"
    assert found.hint == "unset SERENO_CLUSTER__KIND, where that is not meant"


@pytest.mark.parametrize(
    ("settings", "environ", "level", "words"),
    [
        ("prefect: {api_url: 'http://a/api'}", {"PREFECT_API_URL": "http://b/api"}, "wrong", "names another server"),
        ("", {"PREFECT_API_URL": "http://b/api"}, "note", "names the server that records the runs"),
        ("", {"MLFLOW_TRACKING_URI": "http://b"}, "note", "MLFLOW_TRACKING_URI is not looked at"),
        ("", {"PREFECT_PROFILE": "mine"}, "note", "PREFECT_PROFILE is not looked at"),
    ],
    ids=["two servers", "one server", "mlflow", "profile"],
)
def test_other_tools_variables_are_told(sick, settings, environ, level, words):
    sick.settings(settings)
    assert words in sick.one("environment", level, **environ).found


# --- secrets --------------------------------------------------------------------------------------------------------

KEY = "prefect:\n  api_key: hunter2hunter2\n"


def test_a_secret_in_plain_text_is_noted_and_wrong_where_others_can_read_it(sick):
    sick.settings(KEY)
    found = sick.one("secrets", "note")
    assert found.found == "the secret `prefect.api_key` stands in plain text in sereno.yaml, line 2"
    assert "{env: NAME}" in found.hint
    sick.project.settings_file.chmod(0o644)
    assert "other users of this machine can read" in sick.one("secrets", "wrong").found
    assert "hunter2" not in repr(sick.findings())


def test_a_secret_under_version_control_is_wrong(sick):
    sick.settings("")
    (sick.project.root / "profiles").mkdir()
    profile = sick.project.root / "profiles" / "ci.yaml"
    profile.write_text(KEY)
    profile.chmod(0o600)
    subprocess.run(["git", "init", "-q", str(sick.project.root)], check=True)
    found = sick.one("secrets", "wrong", SERENO_PROFILE="ci")
    assert found.found.endswith("in profiles/ci.yaml, line 2, which is under version control")
    (sick.project.root / ".gitignore").write_text("profiles/ci.yaml\n")
    assert sick.one("secrets", "note", SERENO_PROFILE="ci")
    assert is_tracked(sick.project.settings_file)


def test_references_and_addresses_without_a_password_are_well(sick):
    sick.settings("prefect: {api_key: {env: KEY}}\nmlflow: {tracking_uri: 'http://mlflow:5000'}\n")
    sick.project.settings_file.chmod(0o644)
    assert sick.found("secrets", KEY="hunter2") == []
    sick.settings("mlflow: {tracking_uri: 'http://ana:hunter2@mlflow:5000'}\n")
    assert "a password in `mlflow.tracking_uri` stands in plain text" in sick.one("secrets", "note").found


def test_a_secrets_file_that_others_can_read_is_wrong(sick):
    file = sick.project.root / "key"
    file.write_text("hunter2hunter2")
    file.chmod(0o644)
    sick.settings("prefect: {api_key: {file: key}}\n")
    assert sick.one("secrets", "wrong").hint == f"chmod 600 {file}"
    file.chmod(0o600)
    assert sick.found("secrets") == []


@pytest.mark.parametrize(
    "path",
    ["https://ana:hunter2@host/{date}.csv", "https://host/{date}.csv?sig=hunter2"],
    ids=["password", "signature"],
)
def test_a_password_in_a_dataset_file_is_found(sick, path):
    sick.settings("inputs: {protocols: [https]}\n")
    sick.dataset(path)
    sick.project.dataset_file("flows").chmod(0o644)
    assert "source.path in flows.yaml holds a password" in sick.one("addresses", "wrong").found
    assert "hunter2" not in repr(sick.findings())

"""Files that no version names go once nobody can be about to commit them."""

from __future__ import annotations

import pytest

from infra.runtime.work import resume_folder
from tasks.retention import plan_vacuum, vacuum
from tasks.retention_rows import UNNAMED_SECONDS


def test_files_of_earlier_versions_go_once_they_are_a_day_old(year):
    (first,) = year.files("scores", year.days[3])
    year.do(year.days[3])
    services = year.services()
    assert vacuum(services).going == ()
    year.age(first)
    plan = plan_vacuum(services)
    assert [(one.kind, one.what, one.count, one.nights) for one in plan.going] == [
        ("unnamed", "scores, files", 1, (year.days[3],))
    ]
    assert vacuum(services).going[0].bytes == plan.going[0].bytes > 0
    assert len(year.files("scores", year.days[3])) == 1
    assert len(year.read("scores")) == year.done


def test_what_the_state_pins_stays_although_the_newest_version_has_other_rows(year):
    """A run that failed after its commit: the rows that count are those of the version before."""
    (counts,) = year.files("scores", year.days[3])
    year.do(year.days[3], status="failed")
    year.age(*year.files("scores", year.days[3]))
    vacuum(year.services())
    assert counts.exists()
    assert len(year.read("scores")) == year.done


@pytest.mark.parametrize("busy", ["run", "resume", "young"])
def test_files_that_somebody_may_be_about_to_commit_stay(year, busy):
    path = year.files("scores", year.days[3])[0].with_name("part-new.parquet")
    path.write_bytes(b"PAR1")
    year.age(path)
    if busy == "run":
        year.state.start_run("flows", year.days[3], "run", "fp")
    elif busy == "resume":
        with resume_folder(year.project, "flows", year.days[3], "run fp", "run-1"):
            pass
    else:
        year.age(path, seconds=UNNAMED_SECONDS / 2)
    vacuum(year.services())
    assert path.exists()


def test_other_files_of_a_tables_folder_are_nobodys_business(year):
    folder = year.project.lake / "flows" / "scores"
    others = [
        folder / "_delta_log" / "note.parquet",
        folder / "README.parquet",
        folder / f"night={year.days[0]}" / "x.crc",
    ]
    for path in others:
        path.write_bytes(b"x")
    year.age(*others)
    vacuum(year.services())
    assert all(path.exists() for path in others)


def test_a_file_that_cannot_be_removed_is_told_and_keeps_no_other(year, monkeypatch):
    from infra.runtime import lake_vacuum

    class Denied:
        def __init__(self, store):
            self.store = store

        def get_file_info(self, *args):
            return self.store.get_file_info(*args)

        def delete_file(self, path):
            if str(year.days[3]) in path:
                raise PermissionError(13, "denied")
            self.store.delete_file(path)

    original = lake_vacuum.store_of
    monkeypatch.setattr(lake_vacuum, "store_of", lambda *args: Denied(original(*args)))
    done = vacuum(year.services(accepted=5))
    assert done.going[0].count == 14
    assert len(done.failures) == 1
    assert str(year.days[3]) in done.failures[0]

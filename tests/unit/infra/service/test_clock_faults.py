"""What fails is told once, keeps nothing else from its turn, and is put right as soon as it can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from infra.runtime.events import Event
from infra.service.clock_child import Deployments
from schemas.notify import NotifySettings

FIRST = date(2026, 9, 20)


def test_an_orchestrator_that_is_away_is_told_once_and_once_when_it_is_back(house):
    house.on()
    house.arrive("flows", FIRST)
    house.orchestrator.away = ConnectionError("nobody answers")
    for _ in range(3):
        house.turn(hours=1)
    assert len(house.told("service_fault")) == 2
    house.orchestrator.away = None
    house.turn(minutes=1)
    house.turn(minutes=1)
    assert house.orchestrator.at_work == ["run-1"]
    assert len(house.told("service_well")) == 2


def test_a_night_that_cannot_be_started_keeps_no_other_from_its_turn(house):
    house.runs = 2
    house.restart()
    for name in ("flows", "other"):
        house.on(name)
        house.arrive(name, FIRST)
    house.orchestrator.refused.add("flows")
    house.turn(hours=1)
    assert [house.orchestrator.requests[n].asked.dataset for n in house.orchestrator.at_work] == ["other"]
    house.do()
    house.turn(minutes=1)
    assert house.requests("other") == [("2026-09-20", "done")]
    assert house.requests("flows") == [("2026-09-20", "started")]
    assert len(house.told("service_fault")) == 2
    house.orchestrator.refused.clear()
    house.turn(minutes=1)
    assert [house.orchestrator.requests[n].asked.dataset for n in house.orchestrator.at_work] == ["flows"]


def test_a_schedule_that_cannot_be_worked_out_keeps_no_other_from_its_turn(house):
    house.on("flows", every_days=10_000_000)
    house.on("other")
    house.arrive("other", FIRST)
    house.turn(hours=1)
    assert house.requests("other") == [("2026-09-20", "started")]
    (told,) = house.told("service_fault")
    assert "the schedules" in told


def test_a_night_whose_dataset_went_before_it_was_started_gives_its_place_free(house):
    for name in ("flows", "other"):
        house.on(name)
        house.arrive(name, FIRST)
    house.orchestrator.refused.add("flows")
    house.turn(hours=1)
    house.project.dataset_file("flows").unlink()
    house.turn(minutes=1)
    assert house.requests("flows") == [("2026-09-20", "waiting")]
    assert [house.orchestrator.requests[n].asked.dataset for n in house.orchestrator.at_work] == ["other"]


def test_a_dataset_file_that_is_wrong_waits_and_does_not_keep_the_others(house):
    house.on("flows")
    house.on("other")
    house.arrive("other", FIRST)
    house.project.dataset_file("flows").write_text("name: [", encoding="utf-8")
    house.turn(hours=1)
    assert [house.orchestrator.requests[n].asked.dataset for n in house.orchestrator.at_work] == ["other"]
    (told,) = house.told("dataset_refused")
    assert "flows.yaml" in told
    house.do()
    house.on("flows")
    house.arrive("flows", FIRST)
    house.turn(minutes=1)
    assert [house.orchestrator.requests[n].asked.dataset for n in house.orchestrator.at_work] == ["flows"]


def test_a_night_of_another_run_that_died_is_put_right(house, dead_process):
    state = house.services.state
    run = state.start_run("flows", FIRST, "run", "print")
    from sqlalchemy import update

    from infra.runtime.state_tables import runs

    with state._engine.begin() as connection:
        connection.execute(update(runs).values(holder=str(dead_process)))
    house.turn()
    assert state.run(run.id).status == "failed"


def test_no_password_in_the_words_of_an_error_reaches_the_record(house):
    house.orchestrator.away = ConnectionError("https://ana:hunter2pw@prefect.example.org/api does not answer")
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.clock.faults.ends("what is due", "again at https://ana:hunter2pw@prefect.example.org/api")
    assert "https://ana:***@prefect.example.org/api" in house.told("service_fault")[0]
    assert "hunter2pw" not in "".join(house.told())


def test_no_secret_of_the_settings_reaches_the_record(house):
    routes = {"hook": {"url": "jsons://example.org/a-path-that-is-a-key"}}
    notify = NotifySettings.model_validate({"routes": routes})
    house.services = replace(house.services, settings=house.services.settings.model_copy(update={"notify": notify}))
    house.restart()
    house.clock.faults.begins("it", "jsons://example.org/a-path-that-is-a-key does not answer")
    house.clock.faults.tell(Event("service_up", "told by jsons://example.org/a-path-that-is-a-key"))
    assert house.told() == ["*** does not answer", "told by ***"]


def test_a_folder_of_dataset_files_that_cannot_be_read_is_told_once_and_the_nights_go_on(house):
    house.on()
    house.arrive("flows", FIRST)
    house.turn()
    folder, aside = house.project.datasets, house.project.root / "aside"
    folder.rename(aside)
    folder.symlink_to(folder)
    for _ in range(2):
        house.turn(hours=1)
        Deployments(house.services, None).keep(house.clock)
    told = house.told("service_fault")
    assert [text.partition(":")[0] for text in told] == [
        "The service could not see to the dataset files",
        "The service could not see to Prefect's deployments",
    ]
    assert str(folder) in told[0]
    assert house.requests("flows") == [("2026-09-20", "started")]
    folder.unlink()
    aside.rename(folder)
    house.turn(minutes=1)
    assert house.told("service_well") == ["The service sees to the dataset files again."]


def test_a_state_database_whose_file_cannot_be_followed_is_told_and_the_nights_go_on(house, monkeypatch):
    def refused():
        raise OSError("the disk does not answer")

    monkeypatch.setattr(house.services.state, "follow_file", refused)
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    (told,) = house.told("service_fault")
    assert "the disk does not answer" in told
    assert house.requests("flows") == [("2026-09-20", "started")]


def test_a_dataset_file_that_went_and_comes_back_wrong_is_told_again(house):
    house.on()
    for _ in range(2):
        house.project.dataset_file("flows").write_text("name: [", encoding="utf-8")
        house.turn(minutes=1)
        house.project.dataset_file("flows").unlink()
        house.turn(minutes=1)
    assert len(house.told("dataset_refused")) == 2
    assert house.told("service_well")[0] == "flows: its dataset file is gone."


def test_faults_are_kept_while_the_state_database_is_away_and_written_when_it_is_back(house, monkeypatch):
    from schemas.errors import StateError

    state, tell = house.services.state, house.services.state.tell

    def away(_event):
        raise StateError("locked")

    monkeypatch.setattr(state, "tell", away)
    house.clock.faults.begins("the disk", "The disk is full.")
    monkeypatch.setattr(state, "tell", tell)
    assert house.told() == []
    house.turn()
    assert "The disk is full." in house.told("service_fault")

"""What fails is told once, keeps nothing else from its turn, and is put right as soon as it can be."""

from __future__ import annotations

from datetime import date

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

"""What nights came to, read over HTTP."""

from __future__ import annotations

from datetime import date

LAST = "2026-09-20"


def test_datasets_say_how_their_last_night_stands(served):
    (dataset,) = served.ask("/api/v1/datasets").json
    assert (dataset["name"], dataset["scheduled"], dataset["champion"]) == ("flows", False, "1")
    last = dataset["last"]
    assert (last["date"], last["status"], last["alerts"], last["version"]) == (LAST, "done", 3, "1")
    assert last["rows"] == {"read": 100, "accepted": 90, "quarantined": 10, "held": 0}
    assert served.ask("/api/v1/datasets/flows").json == dataset
    assert served.ask("/api/v1/datasets/other").status == 404
    assert served.ask("/api/v1/datasets/Other").status == 422


def test_nights_come_newest_first(served):
    nights = served.ask("/api/v1/datasets/flows/nights?last=2").json
    assert [night["date"] for night in nights] == [LAST, "2026-09-19"]
    assert [night["report"] for night in nights] == [f"/api/v1/datasets/flows/nights/{LAST}/report", None]


def test_a_night_tells_all_that_it_came_to_and_no_path_of_this_machine(served):
    answer = served.ask(f"/api/v1/datasets/flows/nights/{LAST}")
    night = answer.json
    assert night["result"]["seconds"] == {"ingest": 0.5, "train": 8.0}
    assert night["result"]["report"] == night["run"]["report"] == f"/api/v1/datasets/flows/nights/{LAST}/report"
    assert str(served.services.project.root) not in answer.body.decode()
    assert served.ask("/api/v1/datasets/flows/nights/2026-01-01").status == 404
    assert served.ask("/api/v1/datasets/flows/nights/2026-13-01").status == 422


def test_a_run_that_left_nothing_is_told_all_the_same(served):
    state = served.services.state
    run = state.start_run("flows", date(2026, 9, 21), "run", "fp")
    under_way = served.ask("/api/v1/datasets/flows/nights/2026-09-21").json
    assert (under_way["run"]["status"], under_way["result"]) == ("running", None)
    state.finish_run(run.id, "failed", result={"status": "failed", "reason": f"no {served.services.project.root}/in/x"})
    night = served.ask("/api/v1/datasets/flows/nights/2026-09-21").json
    assert (night["run"]["status"], night["run"]["reason"]) == ("failed", "no in/x")


def test_a_report_is_the_page_and_the_data_that_lie_on_the_disk(served):
    page = served.ask(f"/api/v1/datasets/flows/nights/{LAST}/report")
    on_disk = served.services.project.report_file("flows", LAST)
    assert page.body == on_disk.read_bytes()
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    data = served.ask(f"/api/v1/datasets/flows/nights/{LAST}/report.json")
    assert data.body == on_disk.with_suffix(".json").read_bytes()
    assert served.ask("/api/v1/datasets/flows/nights/2026-09-19/report").status == 404


def test_runs_are_listed_and_shown(served):
    runs = served.ask("/api/v1/datasets/flows/runs").json
    assert [run["date"] for run in runs] == [LAST, "2026-09-19", "2026-09-18"]
    assert [run["date"] for run in served.ask("/api/v1/datasets/flows/runs?date=2026-09-19").json] == ["2026-09-19"]
    assert served.ask(f"/api/v1/runs/{runs[0]['id']}").json == runs[0]
    missing = served.ask("/api/v1/runs/20260101T000000-00000000")
    assert missing.status == 404
    assert served.ask("/api/v1/runs/..%2Fx").status in (404, 422)


def test_a_dataset_whose_file_is_gone_is_still_read(served):
    served.services.project.dataset_file("flows").unlink()
    assert served.ask("/api/v1/datasets").json == []
    assert len(served.ask("/api/v1/datasets/flows/nights").json) == 3
    gone = served.post("/api/v1/datasets/flows/runs", {"kind": "training"})
    assert (gone.status, gone.json["error"]) == (409, "The file of the dataset flows is gone.")

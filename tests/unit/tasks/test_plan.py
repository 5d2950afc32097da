"""What a plan says of one night, before anything is read or written."""

from __future__ import annotations

from datetime import date

import pytest

from infra.runtime.project import Project
from schemas.settings import Settings
from tasks.plan import plan_night


@pytest.fixture
def planned(tmp_path, make_dataset):
    def call(**detector):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / "2026-09-01.csv").write_bytes(b"x" * 100_000)
        dataset = make_dataset(detector={"rows": 5000, "epochs": 80, **detector})
        return plan_night(Project(tmp_path), Settings(), dataset, date(2026, 9, 1))

    return call


def test_candidates_are_told_with_their_rungs_and_share_the_epochs_of_one_training(planned):
    alone, tried = planned(), planned(candidates=["auto", "variational", {"family": "denoising", "noise": 0.3}])
    assert (alone.candidates, alone.rungs) == ((), ())
    assert tried.candidates == ("auto", "variational", "denoising (noise 0.3)")
    assert tried.rungs == (8, 21, 51)
    assert tried.epochs == alone.epochs == 80
    said = "\n".join(tried.lines())
    assert "tries   auto, variational, denoising (noise 0.3)" in said
    assert "on 3 rungs, up to epoch 8, 21, 51; 80 epochs in all" in said
    assert "tries" not in "\n".join(alone.lines())


def test_candidates_cost_an_exported_detector_more_for_each_on_each_rung(planned):
    alone, tried = planned(), planned(candidates=["dense", "denoising"])
    assert tried.seconds - alone.seconds == pytest.approx(3 * 3.0, abs=0.2)
    assert tried.megabytes > alone.megabytes

"""Rows of runs that nobody needs go with what they read; those of other runs stay."""

from __future__ import annotations

from infra.runtime.inputs import Input, with_inputs
from infra.runtime.state import State


def test_a_run_goes_with_what_it_read(tmp_path):
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        kept, going = (state.start_run("flows", night, "run", "print") for night in ("2026-09-20", "2026-09-21"))
        for run in (kept, going):
            read = Input(kind="file", name="a.csv", address="in/a.csv", sha256="0" * 64, bytes=1, rows=1)
            state.finish_run(run.id, "failed", also=with_inputs(run.id, [read]))
        state.forget_runs([going.seq])
        assert [run.id for run in state.recent("flows")] == [kept.id]
        assert len(state.inputs(kept.id)) == 1
        assert state.inputs(going.id) == []

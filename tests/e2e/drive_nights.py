"""Do many nights in one process, as a long-lived worker would: `drive_nights.py PROJECT DATASET STEPS`.

STEPS is a JSON file with a list of ``{"date", "options", "put": [source, target] | null, "scores_to": file | null}``:
the source file is put in place before the night is done, its scores are exported after it. Prints the result of each
night as a JSON line, with its exit code and, where processes worked, the heavy modules that each of them has loaded.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import date
from pathlib import Path
from typing import Any


def main(folder: str, dataset: str, steps_file: str) -> int:
    from infra.cli.invocation import Invocation
    from infra.cli.night_output import exit_code
    from infra.cli.orchestrated import flow_for, orchestration
    from tasks.night import NightOptions

    steps: list[dict[str, Any]] = json.loads(Path(steps_file).read_text(encoding="utf-8"))
    options = [NightOptions(**step["options"]) for step in steps]
    invocation = Invocation(folder)
    project, resolved = invocation.resolved()
    trains = any(asked.trains for asked in options)
    with orchestration(invocation, project, resolved.settings, trains=trains) as session:
        for step, asked in zip(steps, options, strict=True):
            if step["put"]:
                shutil.copyfile(*step["put"])
            told = len(session.results)
            state = flow_for(asked)(dataset, date.fromisoformat(step["date"]), return_state=True)
            if len(session.results) == told:
                say({"error": str(state.result(raise_on_failure=False))})
                continue
            result = session.results[-1]
            if step["scores_to"]:
                _export(session, dataset, step)
            seen = {"exit": int(exit_code(result)), "workers": _loaded_by_workers(session)}
            say({**result.model_dump(mode="json"), **seen})
    say({"imported": [name for name in ("tensorflow", "keras") if name in sys.modules]})
    return 0


def say(values: dict[str, Any]) -> None:
    """Print one JSON line."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _loaded_by_workers(session: Any) -> dict[str, list[str]]:
    """What no worker process must import and did, by worker; empty where threads of this process worked."""
    from infra.runtime.compute import ClientCompute, loaded_heavy_modules

    compute = session._compute
    return compute.client.run(loaded_heavy_modules) if isinstance(compute, ClientCompute) else {}


def _export(session: Any, name: str, step: dict[str, Any]) -> None:
    from schemas.dataset import load_dataset
    from tasks.alert import export_scores, scores_of_night

    services = session.services
    dataset = load_dataset(services.project.dataset_file(name))
    table = scores_of_night(services, dataset, date.fromisoformat(step["date"]))
    export_scores(dataset, table, Path(step["scores_to"]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Whether a run that is called off in its training frees its workers at once, and its night can be begun again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date

import psutil
from harness import Measure, NotMeasured
from service_at_work import Service, Watched, up, wait_until, watched

NIGHT = date(2026, 9, 20)
NAME = "flows"
ROUNDS = 3
BAR_S = 10.0
LIMIT_S = 240.0


def measure() -> Iterator[Measure]:
    """Seconds from `sereno cancel` of a run in training until nothing of it is left and its night is free."""
    # Enough to train for minutes: what is measured is the end.
    long = {"family": "denoising", "epochs": 100_000, "patience": 100_000, "seconds": 600}
    with watched([NAME], NIGHT, 3, **long) as project, up(project) as service:
        freed = [called_off(project, service) for _ in range(ROUNDS)]
        killed = [reaped(project, service) for _ in range(ROUNDS)]
    yield Measure("freed_s", freed, "s", ("<=", BAR_S), of="max")
    yield Measure("reaped_s", killed, "s", of="max")


def called_off(project: Watched, service: Service) -> float:
    """Begin a night, call it off in its training, and wait until all of it is gone."""
    before = processes(service)
    project.json("run", NAME, "--date", str(NIGHT), "--force", "--detach")
    wait_until(lambda: in_training(project), LIMIT_S, "the training")
    at_work = processes(service) - before
    if not at_work:
        raise NotMeasured("no process works on the night")
    begun = time.monotonic()
    project.json("cancel", NAME, "--date", str(NIGHT))
    wait_until(lambda: not any(map(psutil.pid_exists, at_work)), LIMIT_S, "the end of the run", look_s=0.05)
    wait_until(lambda: is_free(project), LIMIT_S, "the end of its hold", look_s=0.05)
    return time.monotonic() - begun


def reaped(project: Watched, service: Service) -> float:
    """Kill a run in its training; seconds until its night is at work again, by itself."""
    project.json("run", NAME, "--date", str(NIGHT), "--force", "--detach")
    wait_until(lambda: in_training(project), LIMIT_S, "the training")
    (first,) = [night["run"] for night in nights(project) if night["status"] == "running"]
    begun = time.monotonic()
    service.kill_runs()
    wait_until(
        lambda: any(night["status"] == "running" and night["run"] != first for night in nights(project)),
        LIMIT_S,
        "the next run",
    )
    took = time.monotonic() - begun
    project.json("cancel", NAME, "--date", str(NIGHT))
    wait_until(lambda: is_free(project), LIMIT_S, "the end of its hold")
    return took


def nights(project: Watched) -> list[dict[str, str]]:
    found: list[dict[str, str]] = project.json("status", NAME)
    return found


def in_training(project: Watched) -> bool:
    return any(night["status"] == "running" and night.get("stage") == "train" for night in nights(project))


def is_free(project: Watched) -> bool:
    waits = [one for one in project.json("status", NAME, "--service")["requests"] if one["status"] != "failed"]
    return not waits and not any(night["status"] == "running" for night in nights(project))


def processes(service: Service) -> set[int]:
    return {child.pid for child in service.below()}

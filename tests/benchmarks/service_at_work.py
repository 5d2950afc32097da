"""A project of small made-up datasets, and the service that watches them, as a person starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import yaml
from harness import NotMeasured
from project_setup import SERENO, Done, must, sereno

ROWS = 300
UP_S = 400.0


@dataclass
class Watched:
    """A project folder.

    Args:
        folder: Where.
        names: Its datasets.
        rows: Of one night.
    """

    folder: Path
    names: Sequence[str]
    rows: int = ROWS

    def night_file(self, name: str, night: date) -> Path:
        """Where a night's file lies."""
        return self.folder / "in" / f"{name}-{night}.csv"

    def arrive(self, name: str, night: date, *, again: bool = False) -> Path:
        """Let a night's file come in, whole, an hour ago.

        Args:
            name: The dataset.
            night: The logical date.
            again: With another content, as a second delivery.
        """
        import numpy as np

        draw = np.random.default_rng([self.names.index(name), night.toordinal(), int(again)])
        values = draw.normal(size=(self.rows, 4)).round(4)
        values[:, 1] += values[:, 0]
        lines = [f"{row},{','.join(f'{value:.4f}' for value in line)}" for row, line in enumerate(values)]
        path = self.night_file(name, night)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        beside.write_text("\n".join(["id,a,b,c,d", *lines, ""]), encoding="utf-8")
        if not again:
            os.utime(beside, (time.time() - 3_600,) * 2)
        beside.replace(path)
        return path

    def words(self, *words: str) -> tuple[str, ...]:
        """Words of a command in this project."""
        return ("--project", str(self.folder), *words)

    def json(self, *words: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(must(*self.words(*words, "--json")).out)

    def ask(self, *words: str) -> Done:
        """Run a command, however it ends."""
        return sereno(*self.words(*words))

    def change(self, name: str, **values: Any) -> None:
        """Write blocks of a dataset file anew."""
        path = self.folder / "datasets" / f"{name}.yaml"
        known = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump({**known, **values}, sort_keys=False), encoding="utf-8")

    def settings(self, **values: Any) -> None:
        """Write blocks of the settings anew."""
        path = self.folder / "sereno.yaml"
        known = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        path.write_text(yaml.safe_dump({**known, **values}, sort_keys=False), encoding="utf-8")


@contextmanager
def watched(names: Sequence[str], first: date, nights: int, **detector: Any) -> Iterator[Watched]:
    """Make a project whose dataset files `init` wrote from the first nights; gone at the end.

    Args:
        names: The datasets.
        first: The first logical date.
        nights: So many nights arrive.
        **detector: Options of each dataset's detector.
    """
    with tempfile.TemporaryDirectory(prefix="sereno-bench-") as folder:
        made = Watched(Path(folder) / "project", names)
        for name in names:
            for day in range(nights):
                made.arrive(name, first + timedelta(days=day))
            pattern = str(made.folder / "in" / f"{name}-*.csv")
            must("init", str(made.folder), "--from", pattern, "--name", name, "--key", "id", "--budget", "3")
            made.change(name, detector={"alert_budget": 3, **detector})
        made.settings(service={"port": 0, "prefect_port": 0, "mlflow_port": 0})
        yield made


@dataclass
class Service:
    """`sereno up` at work.

    Args:
        project: What it watches.
        process: Itself.
        lines: What it said so far.
    """

    project: Watched
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def note(self) -> dict[str, Any]:
        """What it says of itself."""
        path = self.project.folder / "state" / "service" / "up.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def kill(self, part: str) -> None:
        """Kill one of its parts."""
        number = self.note["children"][part]["process"]
        if number is not None:
            os.kill(number, signal.SIGKILL)

    def below(self) -> list[psutil.Process]:
        """Processes that it began, and those that these began; one may have ended since."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill_runs(self) -> None:
        """Kill the processes that do a night each.

        Raises:
            NotMeasured: There was none.
        """
        killed = 0
        for process in self.below():
            with suppress(psutil.Error):  # ended between being listed and being killed
                if any("infra.service.flow_run" in word for word in process.cmdline()):
                    process.kill()
                    killed += 1
        if not killed:
            raise NotMeasured("no process does a night")

    def memory(self) -> int:
        """Bytes that it and everything below it hold, each page counted once where it is shared."""
        total = 0
        for process in [psutil.Process(self.process.pid), *self.below()]:
            try:
                total += process.memory_full_info().pss
            except (psutil.Error, OSError):
                continue
        return total

    def requests(self) -> list[dict[str, Any]]:
        """Every request, oldest first, straight from the state database."""
        import sqlite3
        from contextlib import closing

        path = self.project.folder / "state" / "state.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM requests ORDER BY id")]


@contextmanager
def up(project: Watched, *, prefix: Sequence[str] = (), **environ: str) -> Iterator[Service]:
    """Start the service, with a command that starts it where one is given; wait until it is up, stop it at the end."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SERENO_", "PREFECT_", "MLFLOW_"))}
    process = subprocess.Popen(
        [*prefix, str(SERENO), "--project", str(project.folder), "up"],
        env={**own, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    service = Service(project, process)
    is_up = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            service.lines.append(line.rstrip())
            if line.strip() == "up":
                is_up.set()
        is_up.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        if not is_up.wait(UP_S) or process.poll() is not None:
            raise NotMeasured("the service did not come up:\n" + "\n".join(service.lines[-20:]))
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(happens: Callable[[], bool], limit_s: float, what: str, look_s: float = 0.5) -> float:
    """Wait for something; return after how many seconds it was so.

    Raises:
        NotMeasured: It was not within the limit.
    """
    begun = time.monotonic()
    while not happens():
        if time.monotonic() - begun > limit_s:
            raise NotMeasured(f"{what} did not happen within {limit_s:.0f} s")
        time.sleep(look_s)
    return time.monotonic() - begun

"""What each run read: files and the dataset file, by the hash of their content; written with the run's final row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from sqlalchemy import Connection, Engine, insert, select

from infra.runtime.state_database import reading
from infra.runtime.state_tables import run_inputs

InputKind: TypeAlias = Literal["file", "contract"]


@dataclass(frozen=True)
class Input:
    """One row of `run_inputs`.

    Args:
        kind: A delivered file, or the dataset file, less what decides no score.
        name: Base name.
        address: Where it was read from; no secret in it.
        sha256: Of the bytes as delivered; of the dataset file, of its resolved values as JSON.
        bytes: Size as delivered.
        rows: Rows that were read from it.
    """

    kind: InputKind
    name: str
    address: str
    sha256: str
    bytes: int | None = None
    rows: int | None = None


class InputStore:
    """The part of `State` that knows what runs read.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def inputs(self, run_id: str) -> list[Input]:
        """Return what a run read, in the order in which it did; nothing where that was not written down."""
        columns = [run_inputs.c[name] for name in Input.__dataclass_fields__]
        query = select(*columns).where(run_inputs.c.run_id == run_id).order_by(run_inputs.c.id)
        with reading(self._engine) as connection:
            return [Input(**row) for row in connection.execute(query).mappings()]


def with_inputs(run_id: str, read: Sequence[Input]) -> Callable[[Connection], None]:
    """What `RunStore.finish_run` shall write besides the final row.

    Args:
        run_id: The run.
        read: What it read.
    """

    def write(connection: Connection) -> None:
        if read:
            connection.execute(insert(run_inputs), [{"run_id": run_id, **asdict(one)} for one in read])

    return write

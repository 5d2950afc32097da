"""The versions of a detector: listed, shown, promoted, rolled back, compared. The ledger decides, the alias follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.runtime.promotions import DECIDING, gone_by_retention
from schemas.errors import PromotionRefused, UsageError
from tasks.version_diff import compare_bundles

if TYPE_CHECKING:
    import pandas as pd

    from infra.runtime.promotions import Promotion, PromotionStore
    from models.bundle import Bundle
    from models.registry import Registry, VersionInfo
    from schemas.dataset import Dataset
    from tasks.services import Services

DIFF_NIGHTS = 7
DIFF_ROWS = 5_000


@dataclass(frozen=True)
class VersionRow:
    """One line of `models list`.

    Args:
        version: Registered version.
        bundle_hash: The bundle's hash.
        created_at: UTC, ISO.
        nights: The nights that trained it.
        rows: The rows that trained it.
        metrics: Last value of each metric.
        standing: `champion`, `refused`, `was champion`, or `registered`.
        reason: What the ledger says last.
    """

    version: str
    bundle_hash: str
    created_at: str
    nights: tuple[str, ...]
    rows: int
    metrics: Mapping[str, float]
    standing: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "version": self.version,
            "bundle_hash": self.bundle_hash,
            "created_at": self.created_at,
            "nights": list(self.nights),
            "rows": self.rows,
            "metrics": dict(self.metrics),
            "champion": self.standing == "champion",
            "standing": self.standing,
            "reason": self.reason,
        }

    def line(self) -> str:
        """One line for a terminal."""
        span = f"{self.nights[0]}..{self.nights[-1]}" if len(self.nights) > 1 else "".join(self.nights) or "-"
        loss = self.metrics.get("held_out_loss")
        shown = f"loss {loss:.4g}" if loss is not None else ""
        mark = "*" if self.standing == "champion" else " "
        facts = (f"{self.version:>4}", self.bundle_hash[:12], self.created_at[:16].replace("T", " "), span)
        return "  ".join((mark, *facts, f"{self.rows:,} rows", shown, self.standing)).rstrip()


def list_versions(registry: Registry, ledger: PromotionStore, name: str) -> tuple[VersionRow, ...]:
    """All versions of a dataset's detector, newest first."""
    rows, champion = ledger.ledger(name), ledger.champion(name)
    return tuple(_row(info, rows, champion) for info in reversed(registry.versions(name)))


def known_version(registry: Registry, ledger: PromotionStore, name: str, version: str) -> VersionInfo:
    """One registered version.

    Raises:
        UsageError: There is no such version, or retention took it away.
    """
    try:
        return registry.version(name, version)
    except UsageError:
        if (row := ledger.deleted(name, version)) is None:
            raise
        gone = gone_by_retention(row)
        raise UsageError(gone.message, hint=gone.hint) from None


def show_version(registry: Registry, ledger: PromotionStore, name: str, version: str) -> dict[str, Any]:
    """One version: what the ledger says of it, and all that its bundle says of itself.

    Raises:
        UsageError: There is no such version.
        BundleError: Its bundle was changed, or is gone.
    """
    from models.bundle import open_bundle

    info = known_version(registry, ledger, name, version)
    row = _row(info, ledger.ledger(name), ledger.champion(name))
    folder = registry.download(name, version)
    bundle = open_bundle(folder, info.bundle_hash)
    history = [_said(entry) for entry in ledger.ledger(name) if entry.version == version]
    detector = {key: value for key, value in bundle.detector.items() if key not in ("score_map", "rival")}
    return {
        **row.as_dict(),
        "bundle": str(folder),
        "ledger": history,
        **{k: v for k, v in detector.items() if k != "nights"},
    }


def promote_version(
    registry: Registry, ledger: PromotionStore, name: str, version: str, *, reason: str, actor: str, force: bool = False
) -> None:
    """Make one version the champion.

    Raises:
        UsageError: There is no such version, or `force` without a reason.
        BundleError: Its bundle was changed, or is gone.
        PromotionRefused: The gate refused it and `force` is not given, or it is champion already.
    """
    info = _usable(registry, ledger, name, version)
    if force and not reason.strip():
        raise UsageError("a promotion against the gate needs a reason", hint="say why: --force --reason '...'")
    champion = ledger.champion(name)
    if champion is not None and champion.version == version:
        raise PromotionRefused(f"{name}: version {version} is the champion already")
    refused = _refusal(ledger.ledger(name), info)
    if refused is not None and not force:
        raise PromotionRefused(
            f"{name}: the gate refused version {version}: {refused.reason}",
            hint=f"to promote it all the same: sereno models promote {name} {version} --force --reason '...'",
        )
    said = reason.strip() or "promoted by hand"
    ledger.record(
        name, version, info.bundle_hash, "promoted", reason=said, actor=actor, metrics={"forced": refused is not None}
    )
    align_alias(registry, ledger, name)


def rollback_version(registry: Registry, ledger: PromotionStore, name: str, *, reason: str, actor: str) -> str:
    """Make the champion before the present one champion again; done twice, it goes back two steps.

    Returns:
        The version that is champion now.

    Raises:
        PromotionRefused: There was no champion before.
        BundleError: Its bundle was changed, or is gone.
    """
    reigns = reigns_of(ledger.ledger(name))
    if len(reigns) < 2:
        raise PromotionRefused(
            f"{name}: there is no champion before the present one" if reigns else f"{name}: there is no champion yet",
            hint=f"see the versions with: sereno models list {name}",
        )
    before = reigns[-2]
    info = _usable(registry, ledger, name, before)
    said = reason.strip() or f"rolled back from version {reigns[-1]}"
    ledger.record(name, before, info.bundle_hash, "rolled_back", reason=said, actor=actor)
    align_alias(registry, ledger, name)
    return before


def align_alias(registry: Registry, ledger: PromotionStore, name: str) -> None:
    """Let MLflow's alias follow the ledger, which a crash may have left ahead of it."""
    champion = ledger.champion(name)
    registry.set_champion(name, champion.version if champion is not None else None)


def diff_versions(services: Services, dataset: Dataset, first: str, second: str) -> dict[str, Any]:
    """Compare two versions: settings, features, data, threshold, calibration, and scores of the newest nights' samples.

    Raises:
        UsageError: There is no such version.
        BundleError: A bundle was changed, or is gone.
    """
    from models.bundle import open_bundle

    registry = services.registry

    def opened(version: str) -> Bundle:
        info = known_version(registry, services.state, dataset.name, version)
        return open_bundle(registry.download(dataset.name, version), info.bundle_hash)

    compared = compare_bundles(opened(first), opened(second), newest_rows(services, dataset))
    return {"dataset": dataset.name, "versions": [first, second], **compared}


def newest_rows(
    services: Services, dataset: Dataset, nights: int = DIFF_NIGHTS, most: int = DIFF_ROWS
) -> pd.DataFrame | None:
    """The samples of the newest nights, with the columns of `accepted`; None where there are none."""
    from schemas.tables import accepted_schema

    runs = services.state.history(dataset.name, None, nights, table="samples")
    pinned = {run.night: run.versions["samples"] for run in runs}
    if not pinned:
        return None
    schema = accepted_schema(dataset)
    table = services.lake.read(dataset.name, "samples", pinned, columns=schema.names, schema=schema)
    ordered = table.sort_by([(column, "ascending") for column in ("sereno_hash", "sereno_key", "sereno_line")])
    frame: pd.DataFrame = ordered.slice(0, most).to_pandas()
    return frame


def _row(info: VersionInfo, ledger: Sequence[Promotion], champion: Promotion | None) -> VersionRow:
    own = [entry for entry in ledger if entry.version == info.version]
    rows = sum(info.metrics.get(part, 0.0) for part in ("rows_fit", "rows_stop", "rows_calibrate"))
    return VersionRow(
        version=info.version,
        bundle_hash=info.bundle_hash,
        created_at=info.created_at.isoformat(timespec="seconds"),
        nights=info.nights,
        rows=int(rows),
        metrics=info.metrics,
        standing=_standing(info.version, own, champion),
        reason=own[-1].reason if own else "",
    )


def _standing(version: str, own: Sequence[Promotion], champion: Promotion | None) -> str:
    if champion is not None and champion.version == version:
        return "champion"
    decided = [entry.action for entry in own if entry.action in DECIDING]
    if not decided:
        return "registered"
    return "refused" if decided[-1] == "refused" else "was champion"


def _refusal(ledger: Sequence[Promotion], info: VersionInfo) -> Promotion | None:
    """The ledger's last word on a bundle, where it is a refusal."""
    decided = [entry for entry in ledger if entry.bundle_hash == info.bundle_hash and entry.action in DECIDING]
    return decided[-1] if decided and decided[-1].action == "refused" else None


def reigns_of(ledger: Sequence[Promotion]) -> list[str]:
    """The champions that one can go back to, the present one last: a rollback takes the last one away."""
    reigns: list[str] = []
    for entry in ledger:
        if entry.action == "promoted" and reigns[-1:] != [entry.version]:
            reigns.append(entry.version)
        elif entry.action == "rolled_back":
            while reigns and reigns[-1] != entry.version:
                reigns.pop()
            reigns = reigns or [entry.version]
    return reigns


def _usable(registry: Registry, ledger: PromotionStore, name: str, version: str) -> VersionInfo:
    """A version whose bundle is there and unchanged."""
    from models.bundle import open_bundle

    info = known_version(registry, ledger, name, version)
    open_bundle(Path(registry.download(name, version)), info.bundle_hash)
    return info


def _said(entry: Promotion) -> dict[str, Any]:
    return {
        "at": entry.at.isoformat(timespec="seconds"),
        "action": entry.action,
        "actor": entry.actor,
        "reason": entry.reason,
        "previous": entry.previous,
        "metrics": entry.metrics,
    }

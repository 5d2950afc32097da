"""Families and losses of installed packages: modules that an entry point names, imported once a process."""

from __future__ import annotations

from functools import cache

from schemas.errors import ConfigError


@cache
def load_plugins(group: str) -> tuple[str, ...]:
    """Import what packages registered in an entry point group, and return their names.

    Only what is installed can be named: neither a dataset file nor an environment variable gives a module.

    Args:
        group: `sereno.families` or `sereno.losses`.

    Raises:
        ConfigError: When an entry point cannot be imported.
    """
    from importlib.metadata import entry_points

    found = sorted(entry_points(group=group), key=lambda point: point.name)
    for point in found:
        try:
            point.load()
        except Exception as error:
            owner = point.dist.name if point.dist is not None else "an installed package"
            raise ConfigError(
                f"{owner} offers {point.name!r} to {group}, and importing {point.value} failed: "
                f"{type(error).__name__}: {error}",
                hint=f"mend or uninstall {owner}",
            ) from error
    return tuple(point.name for point in found)

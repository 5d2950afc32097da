"""The command line: `sereno COMMAND`.

Nothing heavy is imported here, so `sereno --help` answers at once; each command imports what it needs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from infra.cli.failures import reported
from infra.cli.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

# Command -> (module, attribute). A module is imported when its command is asked for.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("infra.cli.setup_commands", "init"),
    "demo": ("infra.cli.demo_command", "demo"),
    "doctor": ("infra.cli.setup_commands", "doctor"),
    "config": ("infra.cli.setup_commands", "config"),
    "plan": ("infra.cli.plan_command", "plan"),
    "run": ("infra.cli.night_commands", "run"),
    "backfill": ("infra.cli.night_commands", "backfill"),
    "validate": ("infra.cli.night_commands", "validate"),
    "train": ("infra.cli.night_commands", "train"),
    "score": ("infra.cli.night_commands", "score"),
    "cancel": ("infra.cli.asking_commands", "cancel"),
    "retry": ("infra.cli.asking_commands", "retry"),
    "report": ("infra.cli.read_commands", "report"),
    "status": ("infra.cli.read_commands", "status"),
    "scores": ("infra.cli.read_commands", "scores"),
    "embed": ("infra.cli.use_commands", "embed"),
    "clean": ("infra.cli.use_commands", "clean"),
    "generate": ("infra.cli.use_commands", "generate"),
    "models": ("infra.cli.model_commands", "models"),
    "recalibrate": ("infra.cli.recalibrate_command", "recalibrate"),
    "quarantine": ("infra.cli.quarantine_commands", "quarantine"),
    "incidents": ("infra.cli.incident_commands", "incidents"),
    "schedule": ("infra.cli.schedule_commands", "schedule"),
    "up": ("infra.cli.up_command", "up"),
    "notify": ("infra.cli.notify_commands", "notify"),
    "lineage": ("infra.cli.lineage_command", "lineage"),
    "tokens": ("infra.cli.token_commands", "tokens"),
    "audit": ("infra.cli.token_commands", "audit"),
    "vacuum": ("infra.cli.vacuum_command", "vacuum"),
}
SUMMARIES = {
    "init": "Look at files and write a dataset file for them.",
    "demo": "Simulate a week of network flows and keep watch over it.",
    "doctor": "Check this machine and this project.",
    "config": "Show the settings in force.",
    "plan": "Say what a run would read, do and cost; writes nothing.",
    "run": "Do one night: ingest, validate, train, score, report.",
    "backfill": "Do a range of nights in order.",
    "validate": "Ingest and validate one night only.",
    "train": "Train a detector on validated nights.",
    "score": "Score one validated night again.",
    "cancel": "End the run of one night.",
    "retry": "Do the failed and missing stages of one night.",
    "report": "Show where a night's report is.",
    "status": "Show what became of the last nights.",
    "scores": "Export one night's scores to a file.",
    "embed": "Export one night's codes to a file.",
    "clean": "Export one night's rows as the detector expected them.",
    "generate": "Make up rows like those of a dataset.",
    "models": "List, show, promote, roll back and compare detector versions.",
    "recalibrate": "Give the detector another threshold, without training.",
    "quarantine": "List, show and release rows that did not meet the contract.",
    "incidents": "See and act on incidents, and say what alerts were.",
    "schedule": "Turn schedules on and off, and see what comes.",
    "up": "Keep everything running: schedules, servers, runs.",
    "notify": "Try the routes, see what was told, and send what waits.",
    "lineage": "Say where a night's scores came from.",
    "tokens": "Say who may speak to the HTTP side.",
    "audit": "Show what happened and who did it.",
    "vacuum": "Take away what is older than the settings keep.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """All commands, in the order of a first day with the product."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        import importlib

        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """List the commands by their summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest known command for an unknown one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(
                f"{error.message.rstrip('.')}. Did you mean '{near[0]}'?" if near else error.message, ctx
            ) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sereno", prog_name="sereno")
@click.option(
    "--project",
    metavar="DIR",
    help="The project folder; else the current folder or the nearest parent with sereno.yaml.",
)
@click.option(
    "--set", "overrides", metavar="NAME=VALUE", multiple=True, help="Set one setting, e.g. --set cluster.kind=threads."
)
@click.option(
    "--profile",
    metavar="NAME",
    help="The profile, profiles/NAME.yaml; else SERENO_PROFILE, else the one in sereno.yaml.",
)
@click.option("--verbose", "-v", is_flag=True, help="Show what the stages log.")
@click.pass_context
def cli(
    ctx: click.Context, project: str | None, overrides: tuple[str, ...], profile: str | None, verbose: bool
) -> None:
    """Keep watch over nightly batches: validate, train autoencoders, score, report.

    \b
    Begin:   sereno demo
    Then:    sereno init DIR --from 'data/*.csv.gz'   and   sereno --project DIR run NAME --date 2026-09-01
    """
    ctx.obj = Invocation(project, overrides, verbose, profile)


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run the command line; ends the process with an exit code of `schemas.errors.Exit`."""
    sys.exit(reported(cli, arguments))


if __name__ == "__main__":
    main()

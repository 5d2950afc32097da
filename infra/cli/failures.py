"""How a command ends when something went wrong: a text that says what, where and how to mend it, and an exit code."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.invocation import say
from schemas.errors import Exit, SerenoError

if TYPE_CHECKING:
    import click


def reported(command: click.Command, arguments: Sequence[str] | None) -> int:  # noqa: PLR0911 -- one return a kind of end
    """Run a click command and turn whatever it raises into a message on stderr and an exit code."""
    import click

    try:
        outcome = command.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue().rstrip("\n"), err=True)
        return int(Exit.USAGE)
    except click.Abort:
        say("Stopped.", err=True)
        return 130
    except SerenoError as error:
        say(f"Error: {_masked(str(error))}", err=True)
        return int(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.DONE)
    except OSError as error:
        return _refused(error)
    except Exception as error:  # noqa: BLE001 -- the last line of defence: no user sees a traceback
        say(f"Error: {type(error).__name__}: {_masked(str(error)[:500])}", err=True)
        _keep_traceback(error)
        return int(Exit.FAILED)
    return int(outcome) if isinstance(outcome, int) else int(Exit.DONE)


def _masked(text: str) -> str:
    from infra.runtime.logs import SecretFilter

    return SecretFilter().mask(text)


def _refused(error: OSError) -> int:
    """Say what the operating system refused."""
    from infra.runtime.refusals import described, remedy

    say(f"Error: {_masked(described(error))}", err=True)
    if (hint := remedy(error, Path.cwd())) is not None:
        say(f"Hint: {hint}", err=True)
    else:
        _keep_traceback(error)
    return int(Exit.FAILED)


def _keep_traceback(error: BaseException) -> None:
    try:
        descriptor, path = tempfile.mkstemp(prefix="sereno-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as out:
            out.write(_masked("".join(traceback.format_exception(error))))
    except OSError:
        return
    say(f"Hint: the details are in {path}; this is a defect of Sereno's if the words above do not help", err=True)

"""The `sereno` command line: words in, exit code out.

What belongs here: commands and their options, what is printed, the mapping of errors to exit codes, the private
Prefect server of a run. Importing `infra.cli.main` costs next to nothing: every heavy import is local.

What does not: work that a flow or another program would want too (`tasks`, `flows`).
"""

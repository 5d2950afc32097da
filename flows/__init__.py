"""WHEN: the order of the stages of a night, as Prefect flows and tasks.

What belongs here: one module a flow (`nightly`, `backfill`, ...), thin `@task` shells that load, call plain functions
of `tasks` and record what came out, retries, run names and tags. A module reads like a table of contents.

What does not: how a stage does its work (`tasks`), anything that a Dask worker runs (a worker that unpickles a
function from here imports Prefect), settings and file formats (`schemas`).
"""

"""The service: what keeps Sereno running on a machine, and the Prefect server beside each run.

What belongs here: the supervised process group of `sereno up` and its children, the clock that turns schedules and
requests into flow runs, deployments, the private Prefect server of a run.

What does not: what a night does (`flows`, `tasks`), words and options of commands (`infra.cli`), pages and the HTTP
side (`infra.dashboard`).
"""

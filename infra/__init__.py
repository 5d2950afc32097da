"""WHERE: the stores, clusters, commands and profiles that a night runs with.

What belongs here: `runtime` (lake, state, cluster, tracking, logs), `cli` (the commands), profiles, deployment files.

What does not: what a stage does (`tasks`), what a model computes (`models`), what a file may say (`schemas`).
"""

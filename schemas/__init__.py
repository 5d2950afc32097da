"""ALLOWED: what settings, dataset files, tables and results may look like.

What belongs here: frozen models of the settings and dataset files, contracts and their Pandera form, expectations,
table schemas, result records, the error tree with its exit codes. Nothing here imports another room.

What does not: reading or writing of data, a cluster, a store, a model, a terminal.
"""

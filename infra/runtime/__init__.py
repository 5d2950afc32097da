"""Where things run and where they are kept: project folder, lake, state, compute, tracking, logs, scratch.

Not here: what a stage does (tasks), when it runs (flows), how a detector computes (models). Nothing in this room
imports Prefect, TensorFlow or Keras, and importing any of its modules is cheap: Dask, deltalake, SQLAlchemy's dialects
and MLflow are imported by the functions that need them.
"""

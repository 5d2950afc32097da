"""HOW: what each stage of a night does, as plain functions.

What belongs here: ingest, validate, preprocess, train, gate, score, alert, report and the simulator of the demo; the
plain module-level functions that Dask workers run, with plain arguments, results in files and small summaries back.

What does not: Prefect in any form (`flows`), Keras and TensorFlow (`models`), the stores themselves
(`infra.runtime`), the terminal (`infra.cli`).
"""

"""The HTTP side: what people and programs read and ask of a project over the network, and who may.

What belongs here: routes, their documents and pages, tokens at the door, metrics, the process that serves them.

Not here: the doing of what is asked for (a request is a row of the state, and `infra.service` has it done), what rows
and nights are (`tasks`), the stores themselves (`infra.runtime`). Nothing in this room imports Prefect, Dask or
TensorFlow, and nothing that it imports from elsewhere loads them.
"""

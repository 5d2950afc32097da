"""COMPUTE: autoencoders, from the window's samples to a versioned bundle that scores.

What belongs here: families and losses, the trainer, transform, calibration, classical rivals, the bundle and its
checks, the registry client. The only room that imports Keras and TensorFlow, and only in the training process.

What does not: where rows come from and go to (`tasks`, `infra.runtime`), the order of stages (`flows`).
"""

"""Whether digits that were never written look like digits: a classifier reads what a family with a prior makes up."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Measure, NotMeasured
from project_setup import shared_data

SEEDS = (1, 2, 3)
MADE_UP = 1_000
CLASSES = 10
SURE = 0.9
HEADER = {"images": 16, "labels": 8}  # bytes before the numbers of an IDX file

Numbers = np.ndarray[Any, Any]


def measure() -> Iterator[Measure]:
    """Share of 1,000 made-up digits that a classifier is sure of, and share of the rarest digit, for three seeds."""
    from models.tensorflow_import import import_tensorflow

    pictures, labels = digits(shared_data() / "mnist")
    import_tensorflow()
    classify, accuracy = classifier(pictures, labels)
    yield Measure("classifier_accuracy", [accuracy], "", (">=", 0.97))
    made_up = [classify(generated(pictures, seed)) for seed in SEEDS]
    peer = {"held-out digits": share_sure(classify(pictures[: len(pictures) // 10]))}
    yield Measure("recognised_share", [share_sure(each) for each in made_up], "", (">=", 0.7), peer, of="min")
    yield Measure("rarest_digit_share", [share_of_rarest(each) for each in made_up], "", (">=", 0.03), of="min")


def digits(folder: Path) -> tuple[Numbers, Numbers]:
    """Return pictures, float32 [pictures, 784] within 0 and 1, and labels; in an order of their own."""
    found = {kind: sorted(folder.glob(f"*-{kind}-idx?-ubyte.gz")) for kind in HEADER}
    if not all(found.values()):
        raise NotMeasured("the digits are missing: ../shared/data/mnist beside the checkout")
    raw = {kind: np.concatenate([read(path, HEADER[kind]) for path in paths]) for kind, paths in found.items()}
    pictures = raw["images"].reshape(len(raw["labels"]), -1)
    order = np.random.default_rng(0).permutation(len(pictures))
    return (pictures[order] / 255).astype(np.float32), raw["labels"][order].astype(np.int64)


def read(path: Path, header: int) -> Numbers:
    """Return the numbers of an IDX file."""
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def generated(pictures: Numbers, seed: int) -> Numbers:
    """Train the family at its defaults and let it make up digits."""
    from models.autoencoder import Autoencoder

    family = Autoencoder("convolutional_variational", scaling="none", epochs=60, batch_size=64, seed=seed)
    return family.fit(pictures).generate(MADE_UP, seed=seed).astype(np.float32)


def classifier(pictures: Numbers, labels: Numbers) -> tuple[Any, float]:
    """Return what gives each picture's classes, [pictures, 10], and its accuracy on a tenth that it never saw."""
    import keras

    keras.utils.set_random_seed(0)
    held_out = len(pictures) // 10
    layers = [
        keras.Input((pictures.shape[1],)),
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.Conv2D(32, 5, strides=2, activation="relu"),
        keras.layers.Conv2D(64, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.4),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dropout(0.4),
        keras.layers.Dense(CLASSES, activation="softmax"),
    ]
    network = keras.Sequential(layers)
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(pictures[held_out:], labels[held_out:], batch_size=64, epochs=10, verbose=0)

    def classify(rows: Numbers) -> Numbers:
        return np.asarray(network.predict(rows, batch_size=MADE_UP, verbose=0))

    is_right = classify(pictures[:held_out]).argmax(axis=1) == labels[:held_out]
    return classify, float(np.mean(is_right))


def share_sure(found: Numbers) -> float:
    """Share of pictures of whose class the classifier is sure."""
    return float(np.mean(found.max(axis=1) >= SURE))


def share_of_rarest(found: Numbers) -> float:
    """Share of the digit that is made up least often."""
    return float(np.bincount(found.argmax(axis=1), minlength=CLASSES).min() / len(found))

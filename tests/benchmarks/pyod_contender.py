"""One training by PyOD's AutoEncoder, in the environment of the peers. Prints one line of JSON as `contender` does."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

import numpy as np
import torch
from contender import RATE, Entry, Race, Result
from pyod.models.auto_encoder import AutoEncoder


class TimedAutoEncoder(AutoEncoder):
    """Says how long its training takes; `fit` also scores the fit rows behind it."""

    def train(self, train_loader: torch.utils.data.DataLoader) -> None:
        begun = time.perf_counter()
        super().train(train_loader)
        self.train_s = time.perf_counter() - begun


def main(words: list[str]) -> int:
    """Do what the words say."""
    asked = json.loads(words[0])
    race, entry = Race(**asked["race"]), Entry(**asked["entry"])
    if entry.threads:
        torch.set_num_threads(entry.threads)
    fit, stop = race.data()
    detector = TimedAutoEncoder(
        preprocessing=False,
        lr=RATE,
        epoch_num=race.epochs,
        batch_size=race.batch,
        hidden_neuron_list=[*race.options["hidden"], race.options["code"]],
        hidden_activation_name=race.options["activation"],
        batch_norm=False,
        dropout_rate=0.0,
        optimizer_params={},
        random_state=race.seed,
        verbose=0,
    )
    begun = time.perf_counter()
    detector.fit(fit)
    whole = time.perf_counter() - begun
    held_out = float(np.mean(np.square(detector.decision_function(stop)))) / race.width
    print(json.dumps(asdict(Result(detector.train_s, detector.train_s, whole - detector.train_s, held_out))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

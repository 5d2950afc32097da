"""PyOD's detectors on cuts of tables, in the environment of the peers. Prints a line of JSON for each, as it goes.

Words: a folder with one `.npz` a cut (train, asked, is_anomaly, seed).
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.copod import COPOD
from pyod.models.deep_svdd import DeepSVDD
from pyod.models.ecod import ECOD
from pyod.models.gmm import GMM
from pyod.models.iforest import IForest
from pyod.models.inne import INNE
from pyod.models.knn import KNN
from pyod.models.lof import LOF
from pyod.models.ocsvm import OCSVM
from pyod.models.pca import PCA
from pyod.models.vae import VAE

# Each as PyOD sets it up; only that a seed counts, and that nothing is printed.
PEERS: dict[str, Callable[[int, int], Any]] = {
    "KNN": lambda _seed, _width: KNN(),
    "INNE": lambda seed, _width: INNE(random_state=seed),
    "AutoEncoder": lambda seed, _width: AutoEncoder(random_state=seed, verbose=0),
    "GMM": lambda seed, _width: GMM(random_state=seed),
    "OCSVM": lambda _seed, _width: OCSVM(),
    "IForest": lambda seed, _width: IForest(random_state=seed),
    "LOF": lambda _seed, _width: LOF(),
    "VAE": lambda seed, _width: VAE(random_state=seed, verbose=0),
    "DeepSVDD": lambda seed, width: DeepSVDD(n_features=width, random_state=seed, verbose=0),
    "PCA": lambda seed, _width: PCA(random_state=seed),
    "ECOD": lambda _seed, _width: ECOD(),
    "COPOD": lambda _seed, _width: COPOD(),
}

LARGEST = np.finfo(np.float64).max


def main(words: list[str]) -> int:
    """Do what the words say."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    for path in sorted(Path(words[0]).glob("*.npz")):
        with np.load(path, allow_pickle=False) as cut:
            train, asked, truth, seed = cut["train"], cut["asked"], cut["is_anomaly"], int(cut["seed"])
        for name, make in PEERS.items():
            torch.manual_seed(seed)
            begun = time.perf_counter()
            said: dict[str, Any] = {"cut": path.stem, "peer": name}
            try:
                detector = make(seed, train.shape[1]).fit(train)
                # An infinity says which row is the oddest; the measures only take finite numbers.
                scores = np.clip(np.asarray(detector.decision_function(asked)), -LARGEST, LARGEST)
                said["auroc"] = float(roc_auc_score(truth, scores))
                said["ap"] = float(average_precision_score(truth, scores))
                said["constant"] = bool(np.ptp(scores) == 0)
            except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
                said["failed"] = f"{type(error).__name__}: {error}"[:200]
            print(json.dumps({**said, "seconds": time.perf_counter() - begun}), flush=True)
    return 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))

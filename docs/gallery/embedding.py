"""Embedding: each digit of 64 numbers becomes a point of a plane, beside five other ways to draw such a map.

The autoencoder, PCA, LDA and Isomap learn from 1,397 digits and then place 400 that they never saw. MDS and t-SNE
cannot place a new row: they are given the 400 themselves. LDA alone is told which digit is which.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import MDS, TSNE, Isomap
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from models.autoencoder import Autoencoder

SHOWN = 400
# Numbers within 0 and 1: each is a chance to be black.
GREY = {"loss": "binary_crossentropy", "scaling": "none", "learning_rate": 6e-3}


def main(pictures: Path) -> dict[str, float]:
    """Embed, draw, and return how often the ten nearest points of a plane tell the digit."""
    digits, labels = load_digits(return_X_y=True)
    split = train_test_split(digits / 16, labels, test_size=SHOWN, stratify=labels, random_state=0)
    old, new, known, told = split
    network = Autoencoder(
        "dense", hidden=(128, 64, 32), code=2, epochs=30, options={"code_activation": "linear"}, **GREY
    )
    planes = {
        "autoencoder": network.fit(old).encode(new),
        "PCA": PCA(2).fit(old).transform(new),
        "LDA": LinearDiscriminantAnalysis(n_components=2).fit(old, known).transform(new),
        "Isomap": Isomap(n_neighbors=10).fit(old).transform(new),
        "MDS": MDS(2, init="classical_mds", n_init=1, max_iter=50).fit_transform(new),
        "t-SNE": TSNE(2, max_iter=300, n_jobs=1, random_state=0).fit_transform(new),
    }
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    for axes, (name, points) in zip(figure.subplots(2, 3).flat, planes.items(), strict=True):
        axes.scatter(*points.T, c=told, cmap="tab10", s=5)
        axes.set(title=name, xticks=[], yticks=[])
    figure.savefig(pictures / "embedding.png", dpi=65)
    judge = KNeighborsClassifier(10)
    return {name: float(cross_val_score(judge, points, told, cv=5).mean()) for name, points in planes.items()}


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))

"""Extremely randomised trees (Geurts et al., 2006) as plain arrays: grown by scikit-learn, asked by numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Rows = np.ndarray[Any, np.dtype[np.float32]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int32]]
LEAF = -1


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees, one after the other in the same arrays.

    Args:
        roots: Where each tree begins, int32 [trees].
        feature: The number that a node asks about, `LEAF` where it asks no more, int32 [nodes].
        threshold: A row goes left where its number is at or below, float64 [nodes].
        left: Where the rows go on that are, int32 [nodes].
        right: Where the others go on, int32 [nodes].
        value: What a leaf says, 0 to 1, float64 [nodes].
    """

    roots: Places
    feature: Places
    threshold: Numbers
    left: Places
    right: Places
    value: Numbers

    def __call__(self, rows: Rows) -> Numbers:
        """The trees' mean word on each row [rows, width], float64 [rows] in 0..1."""
        total = np.zeros(len(rows))
        each = np.arange(len(rows))
        for root in self.roots:
            at = np.full(len(rows), root, dtype=np.int32)
            asking = each
            while len(asking):
                asking = asking[self.feature[at[asking]] != LEAF]
                node = at[asking]
                lower = rows[asking, self.feature[node]] <= self.threshold[node]
                at[asking] = np.where(lower, self.left[node], self.right[node])
            total += self.value[at]
        return total / len(self.roots)


def grow(rows: Rows, is_one: np.ndarray[Any, np.dtype[np.bool_]], weights: Numbers, *, trees: int, seed: int) -> Forest:
    """Grow trees that tell two sorts of rows apart.

    Args:
        rows: Float32 [rows, width].
        is_one: Which rows are of the sort that a leaf calls 1, bool [rows]; both sorts are there.
        weights: How much each row counts, above 0, [rows].
        trees: How many.
        seed: Decides every random choice.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(trees, max_features=0.3, random_state=seed % 2**32, n_jobs=1)
    forest.fit(rows, is_one, sample_weight=weights)
    grown = [tree.tree_ for tree in forest.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in grown[:-1])])

    def joined(name: str) -> Any:
        return np.concatenate([getattr(tree, name) for tree in grown])

    offsets = np.repeat(starts, [tree.node_count for tree in grown])
    left, right = joined("children_left"), joined("children_right")
    leaf = left < 0
    shares = np.concatenate([tree.value[:, 0, :] for tree in grown])
    return Forest(
        roots=starts.astype(np.int32),
        feature=np.where(leaf, LEAF, joined("feature")).astype(np.int32),
        threshold=np.where(leaf, 0.0, joined("threshold")),
        left=np.where(leaf, LEAF, left + offsets).astype(np.int32),
        right=np.where(leaf, LEAF, right + offsets).astype(np.int32),
        value=shares[:, 1] / shares.sum(axis=1),
    )

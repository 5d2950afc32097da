"""Isolation forest: how few random cuts part a row from all others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from models.calibration import Matrix
from models.rivals import Arrays, Given, Rival, Rows, register, shaped

TREES, SAMPLES = 100, 256
DEEPEST = 64
FIELDS = ("feature", "cut", "left", "right", "length")


@register
@dataclass(frozen=True)
class IsolationForest(Rival):
    """Isolation forest (Liu et al., 2008): a hundred trees over 256 rows each, as plain arrays of nodes.

    A column's part follows the path: by how much each cut on it shortened the way that was to be expected (Saabas,
    2014), cuts that lengthened it taken against those that shortened it.

    Args:
        nodes: A row a node of all trees: feature, cut, left, right, length, float64 [nodes, 5]. A leaf is its own
            child. The length is the mean path of the rows that pass the node.
        roots: Each tree's first node, [trees].
        usual: Path by which lengths are divided, float64 [1].
        middle: Median of each number of the rows, which stands for what was expected, float64 [width].
    """

    nodes: Matrix
    roots: Matrix
    usual: Matrix
    middle: Matrix

    name = "isolation_forest"
    title = "isolation forest"

    @classmethod
    def fit(cls, given: Given) -> Self:
        """See `Rival.fit`."""
        import sklearn.ensemble

        rows = given.fit
        samples = min(SAMPLES, len(rows))
        forest = sklearn.ensemble.IsolationForest(
            n_estimators=TREES, max_samples=samples, random_state=given.seed % 2**32
        ).fit(rows)
        trees = [_nodes(each.tree_) for each in forest.estimators_]
        offsets = np.concatenate([[0], np.cumsum([len(tree) for tree in trees])[:-1]])
        for tree, offset in zip(trees, offsets, strict=True):
            tree[:, 2:4] += offset
        usual = _average_path(np.array([float(samples)]))
        middle: Matrix = np.median(rows.astype(np.float64), axis=0)
        return cls(given.starts, np.concatenate(trees), offsets.astype(np.float64), usual, middle)

    @classmethod
    def read(cls, arrays: Arrays, starts: tuple[int, ...], width: int) -> Self:
        """See `Rival.read`."""
        nodes, roots = shaped(arrays, "nodes", [None, len(FIELDS)]), shaped(arrays, "roots", [None])
        usual, middle = shaped(arrays, "usual", [1]), shaped(arrays, "middle", [width])
        children = [nodes[:, 2], nodes[:, 3], roots]
        if any(len(each) == 0 or each.min() < 0 or each.max() >= len(nodes) for each in children):
            raise ValueError("the rival's nodes name nodes that are not there")
        if not (0 <= nodes[:, 0].min() <= nodes[:, 0].max() < width) or usual[0] <= 0:
            raise ValueError("the rival's nodes name numbers that a row has not")
        return cls(starts, nodes, roots, usual, middle)

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """See `Rival.arrays`."""
        return {"nodes": self.nodes, "roots": self.roots, "usual": self.usual, "middle": self.middle}

    @cached_property
    def _split(self) -> tuple[np.ndarray[Any, np.dtype[np.intp]], Matrix, Matrix]:
        """Feature, left and right child of each node, intp [3, nodes]; its cut; its length."""
        places = np.ascontiguousarray(self.nodes[:, [0, 2, 3]].T).astype(np.intp)
        return places, self.nodes[:, 1].copy(), self.nodes[:, 4].copy()

    @cached_property
    def _column(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """The column of each number, [width]."""
        of = np.searchsorted(np.array(self.starts), np.arange(len(self.middle)), side="right") - 1
        return of.astype(np.intp)

    def look_at(self, rows: Rows) -> tuple[Rows, Matrix]:
        """See `Rival.look_at`; the inside of the logarithm is 2 to the minus mean path over the usual one."""
        (feature, left, right), cut, length = self._split
        at = np.arange(len(rows))[:, None]
        node = np.repeat(self.roots.astype(np.intp)[None, :], len(rows), axis=0)
        columns = len(self.starts)
        shorter = np.zeros(len(rows) * columns)
        for _ in range(DEEPEST):
            child = np.where(rows[at, feature[node]] <= cut[node], left[node], right[node])
            if (child == node).all():
                break
            gained = length[node] - length[child]
            place = at * columns + self._column[feature[node]]
            shorter += np.bincount(place.reshape(-1), gained.reshape(-1), minlength=len(shorter))
            node = child
        score = 2.0 ** (-length[node].mean(axis=1) / self.usual[0])
        by = np.maximum(shorter.reshape(len(rows), columns), 0.0)
        expected = np.repeat(self.middle.astype(np.float32)[None, :], len(rows), axis=0)
        return expected, self.shared(score, by)


def _nodes(tree: Any) -> Matrix:
    """A tree of scikit-learn as rows of `FIELDS`, numbered from 0."""
    count = tree.node_count
    left, right, samples = tree.children_left, tree.children_right, tree.n_node_samples.astype(np.float64)
    is_leaf = left < 0
    depth, length = np.zeros(count), np.zeros(count)
    # Children stand behind their parent, so one way down gives depths and one way up the mean lengths.
    for node in np.flatnonzero(~is_leaf):
        depth[left[node]] = depth[right[node]] = depth[node] + 1
    length[is_leaf] = depth[is_leaf] + _average_path(samples[is_leaf])
    for node in np.flatnonzero(~is_leaf)[::-1]:
        a, b = left[node], right[node]
        length[node] = (samples[a] * length[a] + samples[b] * length[b]) / (samples[a] + samples[b])
    own = np.arange(count)
    children = np.where(is_leaf, own, left), np.where(is_leaf, own, right)
    cut = np.where(is_leaf, 0.0, tree.threshold)
    return np.column_stack([np.where(is_leaf, 0, tree.feature), cut, *children, length]).astype(np.float64)


def _average_path(samples: Matrix) -> Matrix:
    """Mean path of an unsuccessful search in a binary tree over so many rows (Liu et al., 2008)."""
    path = np.zeros(len(samples))
    path[samples == 2] = 1.0
    more = samples > 2
    path[more] = 2.0 * (np.log(samples[more] - 1.0) + np.euler_gamma) - 2.0 * (samples[more] - 1.0) / samples[more]
    return path

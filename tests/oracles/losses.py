"""The losses in float64 NumPy, each straight from its equation."""

import numpy as np


def normalize(x: np.ndarray) -> np.ndarray:
    """Rows over their Euclidean norm."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances [N, M], from exact differences."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))


def hard_triplet(
    anchors: np.ndarray, candidates: np.ndarray, labels: np.ndarray, margin: float
) -> float:
    """Farthest positive minus nearest negative, anchor by anchor."""
    losses = []
    for row, label in zip(distances(anchors, candidates), labels, strict=True):
        difference = row[labels == label].max() - row[labels != label].min()
        soft = np.logaddexp(0.0, difference)
        losses.append(soft if margin < 0 else max(0.0, margin + difference))
    return float(np.mean(losses))


def correlation_consistency(visible: np.ndarray, infrared: np.ndarray) -> float:
    """Mean squared difference of the row-normalised Gram matrices."""
    return float(np.mean((normalize(visible @ visible.T) - normalize(infrared @ infrared.T)) ** 2))


def class_mmd(visible: np.ndarray, infrared: np.ndarray, images_per_identity: int) -> float:
    """Biased squared MMD with kernel (a . b)^2 of each identity's rows, then the mean."""

    def mean_kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[np.dot(x, y) ** 2 for y in b] for x in a]))

    v, i = normalize(visible), normalize(infrared)
    values = []
    for start in range(0, len(v), images_per_identity):
        a, b = (x[start : start + images_per_identity] for x in (v, i))
        values.append(mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b))
    return float(np.mean(values))


def cross_entropy(logits: np.ndarray, labels: np.ndarray, label_smoothing: float = 0.0) -> float:
    """- sum of target x log probability, with the target ``(1 - s) onehot + s / C``."""
    classes = logits.shape[1]
    targets = (1 - label_smoothing) * np.eye(classes)[labels] + label_smoothing / classes
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return float(-np.mean((targets * np.log(probabilities)).sum(axis=1)))


def weighted_triplet(features: np.ndarray, labels: np.ndarray) -> float:
    """Softmax-weighted distances to the same label minus those to others, row by row."""
    losses = []
    for row, label in zip(distances(features, features), labels, strict=True):
        same, other = row[labels == label], row[labels != label]
        to_same, to_other = np.exp(same - same.max()), np.exp(other.min() - other)
        difference = same @ to_same / to_same.sum() - other @ to_other / to_other.sum()
        losses.append(np.logaddexp(0.0, difference))
    return float(np.mean(losses))


def center(features: np.ndarray, labels: np.ndarray) -> float:
    """Half of the mean squared distance to the mean of the row's label."""
    centers = np.stack([features[labels == label].mean(axis=0) for label in labels])
    return float(np.mean(((features - centers) ** 2).sum(axis=1)) / 2)

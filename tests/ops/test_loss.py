"""NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn, run_op


def log_softmax(x):
    wide = np.asarray(x).astype(np.float64)
    shifted = wide - wide.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def nll(logs, labels, weights=None, reduction="mean", ignore_index=None):
    """What PyTorch's nll_loss gives, in float64."""
    logs = np.asarray(logs).astype(np.float64)
    classes = logs.shape[1]
    valid = np.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    safe = np.where(valid, labels, 0)
    picked = np.take_along_axis(logs, safe[:, None], 1)[:, 0]
    each = np.ones(classes) if weights is None else weights.astype(np.float64)
    weight = np.where(valid, each[safe], 0)
    losses = np.where(valid, -picked * weight, 0)
    if reduction == "none":
        return losses
    with np.errstate(invalid="ignore"):
        return losses.sum() if reduction == "sum" else losses.sum() / weight.sum()


def cross_entropy(scores, labels, weights=None, **options):
    logs = log_softmax(scores)
    return nll(logs, labels, weights, **options), logs


@pytest.mark.parametrize("shape", [(3, 5), (2, 4, 6), (2, 3, 4, 5), (0, 3), (2, 3, 0)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_both(shape, reduction, weighted):
    scores = randn(*shape)
    labels = randint(0, shape[1], shape[0], *shape[2:])
    weights = np.abs(randn(shape[1], seed=1)) if weighted else None
    options = {"reduction": reduction, "length": max(1, labels.size)}
    check_op("NegativeLogLikelihoodLoss", scores, labels, weights, ref=nll, **options)
    check_op(
        "SoftmaxCrossEntropyLoss",
        scores,
        labels.astype(np.int32),
        weights,
        ref=lambda *a, **o: cross_entropy(*a, **o),
        outputs=2,
        **options,
    )


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_types(dtype):
    import ml_dtypes

    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    scores, labels = randn(4, 6, dtype=kind), randint(0, 6, 4)
    loss = run_op("SoftmaxCrossEntropyLoss", scores, labels)
    assert loss.dtype == kind
    rtol = {"float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(float(loss), cross_entropy(scores, labels)[0], rtol=rtol)


@pytest.mark.parametrize("ignored", [-1, 2, 100])
def test_ignored_labels(ignored):
    scores, labels = randn(6, 4), randint(0, 4, 6)
    labels[::2] = ignored
    weights = np.abs(randn(4, seed=3))
    for reduction in ("none", "sum", "mean"):
        for given in (None, weights):
            options = {"reduction": reduction, "ignore_index": ignored, "length": 6}
            check_op("NegativeLogLikelihoodLoss", scores, labels, given, ref=nll, **options)
            check_op(
                "SoftmaxCrossEntropyLoss",
                scores,
                labels,
                given,
                ref=lambda *a, **o: cross_entropy(*a, **o)[0],
                **options,
            )


def test_mean_of_nothing_is_nan():
    """The standard is silent; so is PyTorch's quotient of zeros."""
    loss = run_op("NegativeLogLikelihoodLoss", randn(2, 3), np.array([1, 1]), ignore_index=1)
    assert np.isnan(loss)


def test_large_scores():
    scores = np.float32([[1e4, 0, -1e4], [-1e38, 1e38, 0]])
    check_op(
        "SoftmaxCrossEntropyLoss",
        scores,
        np.array([0, 1]),
        ref=lambda s, t: (np.zeros(2), log_softmax(s)),
        outputs=2,
        reduction="none",
    )


def test_errors():
    scores, labels = randn(2, 3), np.array([0, 1])
    loss = "NegativeLogLikelihoodLoss"
    expect_error(loss, scores, np.array([0, 3]), match="label 3 of place 1 is out of range for 3")
    expect_error(loss, scores, np.array([0, -1]), match="label -1 of place 1 is out of range")
    expect_error(loss, scores, np.array([0, 1, 2]), match=r"labels have shape \[3\]")
    expect_error(loss, scores, labels, randn(2), match=r"input 2 has shape \[2\]")
    expect_error(loss, scores, labels, reduction="max", match="reduction is 'max'")
    expect_error(loss, randn(3), labels, match=r"expected \[N, C, ...\]")
    expect_error(loss, scores, labels.astype(np.float32), match="float32")

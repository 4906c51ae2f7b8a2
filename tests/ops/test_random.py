"""RandomNormal, RandomUniform (and Like), Bernoulli, Multinomial: no stream is fixed, so their
distributions are."""

import numpy as np
from helpers import expect_error, make_model, run_op

import sardonyx


def ints(*values):
    return np.array(values, dtype=np.int64)


def test_normal():
    x = run_op("RandomNormal", shape=[200, 500], mean=3.0, scale=2.0, seed=1.0)
    assert x.shape == (200, 500)
    assert x.dtype == np.float32
    assert abs(x.mean() - 3) < 0.05
    assert abs(x.std() - 2) < 0.05
    assert abs(((x - 3) ** 3).mean()) < 0.3
    y = run_op("RandomNormalLike", np.zeros((100, 300), np.float64), seed=1.0)
    assert y.dtype == np.float64
    assert abs(y.std() - 1) < 0.02


def test_uniform():
    x = run_op("RandomUniform", shape=[300, 300], low=-2.0, high=4.0, dtype=11)
    assert x.dtype == np.float64
    assert x.min() >= -2
    assert x.max() < 4
    assert abs(x.mean() - 1) < 0.05
    y = run_op("RandomUniformLike", np.zeros((100, 300), np.int32), dtype=1)
    assert y.dtype == np.float32
    assert abs(np.corrcoef(y[:, :-1].ravel(), y[:, 1:].ravel())[0, 1]) < 0.03


def test_seeds():
    model = make_model("RandomUniform", [], attrs={"shape": [100], "seed": 7.0})
    first, second = sardonyx.load(model), sardonyx.load(model)
    draws = [first.run(None, {})[0] for _ in range(2)]
    np.testing.assert_array_equal(draws, [second.run(None, {})[0] for _ in range(2)])
    assert not np.array_equal(*draws)
    free = make_model("RandomUniform", [], attrs={"shape": [100]})
    assert not np.array_equal(*(sardonyx.load(free).run(None, {})[0] for _ in range(2)))


def test_bernoulli():
    p = np.repeat(np.float32([0, 0.25, 1]), 20000).reshape(3, -1)
    x = run_op("Bernoulli", p)
    assert set(np.unique(x)) == {0, 1}
    np.testing.assert_allclose(x.mean(1), [0, 0.25, 1], atol=0.02)
    assert run_op("Bernoulli", p, dtype=9).dtype == bool
    assert run_op("Bernoulli", p.astype(np.float64), dtype=7).dtype == np.int64


def test_multinomial():
    p = np.array([[0.1, 0.6, 0.3], [0, 0, 1]])
    with np.errstate(divide="ignore"):
        logs = np.log(p).astype(np.float32) + 5
    x = run_op("Multinomial", logs, sample_size=20000, seed=3.0)
    assert x.dtype == np.int32
    counts = [np.bincount(row, minlength=3) / 20000 for row in x]
    np.testing.assert_allclose(counts, p, atol=0.02)
    assert run_op("Multinomial", logs, sample_size=5, dtype=7).dtype == np.int64


def test_refuses():
    expect_error("RandomNormal", shape=[-1], match="negative dimension")
    expect_error("RandomNormal", match="'shape' is missing")
    expect_error("Bernoulli", ints(1), match="expected probabilities")
    expect_error("Multinomial", np.zeros((2, 0), np.float32), match="no classes")


def test_dropout_draws_as_the_reference():
    """A seed names NumPy's stream, as the standard's own tests have it; the next run goes on."""
    x = np.arange(1, 41, dtype=np.float32).reshape(5, 8)
    inputs = [x, np.float32(0.75), np.bool_(True)]
    values = [np.asarray(value) for value in inputs]
    model = sardonyx.load(make_model("Dropout", values, outputs=2, attrs={"seed": 5}))
    stream = np.random.RandomState(5)
    for _ in range(2):
        keep = stream.uniform(size=x.shape) >= 0.75
        y, mask = model.run(None, {f"x{i}": value for i, value in enumerate(values)})
        np.testing.assert_array_equal(mask, keep)
        np.testing.assert_array_equal(y, np.where(keep, x * 4, 0))

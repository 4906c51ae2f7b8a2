"""Operators of ai.onnx.ml beside the trees, against ONNX Runtime, NumPy and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn, run_op

import sardonyx

ML: dict[str, Any] = {"domain": "ai.onnx.ml", "opset": 3}
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]
WORDS = np.array(["b", "?", "a long word that is not stored inline", "a", "b"])
LONG = "a long word that is not stored inline"
INTS = {"classlabels_ints": [7, 9, 11]}
NAMES = {"classlabels_strings": ["low", "mid", "high"]}


def linear(targets: int, columns: int) -> dict[str, Any]:
    return {
        "coefficients": randn(targets, columns).ravel().tolist(),
        "intercepts": randn(targets, seed=1).tolist(),
    }


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_linear_models(transform: str, dtype: Any) -> None:
    x = (randn(9, 21) * 3).astype(dtype)
    options = ML | {"post_transform": transform, "ref": "ort", "length": 64}
    if dtype == np.float32:
        check_op("LinearRegressor", x, **options, targets=4, **linear(4, 21))
    for labels in (INTS, NAMES):
        check_op("LinearClassifier", x, **options, outputs=2, **labels, **linear(3, 21))
        two = {k: v[:2] for k, v in labels.items()}
        check_op("LinearClassifier", x, **options, outputs=2, **two, **linear(1, 21))
        check_op("LinearClassifier", x, **options, outputs=2, **two, **linear(2, 21))


def test_linear_regressor_of_one_row_and_no_rows() -> None:
    model = linear(1, 5)
    weights, bias = np.array(model["coefficients"]), np.array(model["intercepts"])
    for shape in [(5,), (1, 5), (0, 5)]:
        x = randn(*shape)
        expected = (x.reshape(-1, 5) @ weights[:, None] + bias).astype(np.float32)
        check_op("LinearRegressor", x, **ML, ref=expected, length=8, **model)
    logistic = 1 / (1 + np.exp(-expected))
    check_op("LinearRegressor", x, **ML, ref=logistic, post_transform="LOGISTIC", **model)
    expect_error("LinearRegressor", randn(2, 6), **ML, match="5 features, rows have 6", **model)


def test_probit() -> None:
    x = np.linspace(0.02, 0.98, 49, dtype=np.float32)[:, None]
    options = ML | {"ref": "ort", "length": 4, "post_transform": "PROBIT"}
    check_op("LinearRegressor", x, **options, coefficients=[1.0], intercepts=[0.0])


def svm(kernel: str, classes: int, vectors: list[int], columns: int) -> dict[str, Any]:
    count, pairs = sum(vectors), classes * (classes - 1) // 2
    return {
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.1, 3.0],
        "coefficients": randn(classes - 1, count).ravel().tolist(),
        "rho": randn(pairs, seed=3).tolist(),
        "support_vectors": randn(count, columns, seed=4).ravel().tolist(),
        "vectors_per_class": vectors,
    }


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("coupled", [False, True])
def test_svm_classifier(kernel: str, classes: int, coupled: bool) -> None:
    model = svm(kernel, classes, [3, 2, 4][:classes], 7)
    pairs = len(model["rho"])
    if coupled:
        model |= {"prob_a": [-0.8] * pairs, "prob_b": [0.1] * pairs}
    for transform in TRANSFORMS:
        for labels in (INTS, NAMES):
            check_op(
                "SVMClassifier",
                randn(11, 7),
                **ML,
                outputs=2,
                ref="ort",
                length=256,
                post_transform=transform,
                **{k: v[:classes] for k, v in labels.items()},
                **model,
            )


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("one_class", [0, 1])
def test_svm_regressor(kernel: str, one_class: int) -> None:
    model = {
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.1, 2.0],
        "coefficients": randn(6).tolist(),
        "rho": [0.25],
        "support_vectors": randn(6, 5).ravel().tolist(),
        "n_supports": 6,
    }
    check_op("SVMRegressor", randn(9, 5), **ML, ref="ort", length=64, one_class=one_class, **model)
    flat = {k: model[k] for k in ("rho", "kernel_params")} | {"coefficients": randn(5).tolist()}
    check_op("SVMRegressor", randn(9, 5), **ML, ref="ort", one_class=one_class, **flat)


def test_svm_refuses_sizes_that_do_not_fit() -> None:
    model = svm("RBF", 3, [2, 2, 2], 4) | INTS
    for name, value, match in [
        ("rho", [0.0], "rho has 1"),
        ("coefficients", [1.0], "coefficients"),
        ("vectors_per_class", [2, 4], "vectors_per_class"),
        ("vectors_per_class", [2, -2, 6], "entry -2"),
        ("support_vectors", [1.0, 2.0], "numbers for 6 vectors"),
        ("kernel_params", [1.0], "kernel_params"),
    ]:
        changed = model | {name: value}
        expect_error("SVMClassifier", randn(2, 4), **ML, outputs=2, match=match, **changed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
def test_scaler(dtype: Any) -> None:
    x = randint(-9, 9, 5, 3).astype(dtype)
    offset, scale = [0.5, 1.0, -2.0], [2.0, 0.1, 3.0]
    expected = ((x - np.array(offset)) * np.float32(scale)).astype(np.float32)
    check_op("Scaler", x, **ML, ref=expected, offset=offset, scale=scale)
    check_op("Scaler", x[0], **ML, ref=expected[0], offset=offset, scale=scale)
    check_op("Scaler", x, **ML, ref=((x - 1.0) * 2).astype(np.float32), offset=[1.0], scale=[2.0])
    expect_error("Scaler", x, **ML, match="2 entries for 3", offset=[1.0, 2.0], scale=[1.0])


def test_normalizer() -> None:
    x = randn(7, 5)
    x[2] = 0
    for norm in ("MAX", "L1", "L2"):
        check_op("Normalizer", x, **ML, ref="ort", norm=norm)
        check_op("Normalizer", x[0], **ML, ref="ort", norm=norm)
        check_op("Normalizer", randint(-4, 4, 6, 3), **ML, ref="ort", norm=norm)


def test_imputer() -> None:
    x = randn(6, 3)
    x[x > 0.5] = np.nan
    fill = np.array([1, 2, 3], np.float32)
    for dtype in (np.float32, np.float64):
        values = x.astype(dtype)
        options = ML | {"replaced_value_float": float("nan")}
        expected = np.where(np.isnan(values), fill, values).astype(dtype)
        check_op("Imputer", values, **options, ref=expected, imputed_value_floats=fill.tolist())
        expected = np.where(np.isnan(values), 4, values).astype(dtype)
        check_op("Imputer", values, **options, ref=expected, imputed_value_floats=[4.0])
    for dtype in (np.int64, np.int32):
        values = randint(0, 3, 6, 3).astype(dtype)
        expected = np.where(values == 1, [10, 20, 30], values).astype(dtype)
        options = ML | {"replaced_value_int64": 1, "imputed_value_int64s": [10, 20, 30]}
        check_op("Imputer", values, **options, ref=expected)


def test_binarizer() -> None:
    for dtype in (np.float32, np.float64, np.int64, np.int32):
        x = (randn(4, 5) * 3).astype(dtype)
        check_op("Binarizer", x, **ML, ref=(x > 0.5).astype(dtype), threshold=0.5)


def test_array_feature_extractor() -> None:
    for x in (randn(6), randn(2, 6), randn(2, 3, 6), randint(0, 9, 2, 6), WORDS[None]):
        for index in ([2, 0, 2], [4], []):
            picked = np.array(index, np.int64)
            expected = x[..., picked] if x.ndim > 1 else x[None, picked]
            check_op("ArrayFeatureExtractor", x, picked, **ML, ref=expected)
    for index in (6, -1):
        expect_error("ArrayFeatureExtractor", randn(2, 6), np.array([index]), **ML, match="outside")


def test_feature_vectorizer() -> None:
    x, y = randn(4, 2), randint(0, 9, 4, 3)
    expected = np.concatenate([x, np.zeros((4, 1)), y[:, :2]], 1).astype(np.float32)
    check_op("FeatureVectorizer", x, y, **ML, ref=expected, inputdimensions=[3, 2])
    options = ML | {"inputdimensions": [2, 3]}
    expect_error("FeatureVectorizer", x, y[:3], **options, match="row counts|n0_0|rows")


def test_label_encoder() -> None:
    numbers = np.array([3, 1, 4, 1, 5])
    names = ["b", "a", LONG]
    strings = np.array([{"b": 1, "a": 2, LONG: 3}.get(w, 9) for w in WORDS])
    keyed = ML | {"keys_strings": names, "values_int64s": [1, 2, 3], "default_int64": 9}
    check_op("LabelEncoder", WORDS, **keyed, ref=strings)
    check_op("LabelEncoder", WORDS[:, None], **keyed, ref=strings[:, None])
    keyed = ML | {"keys_int64s": [1, 3], "values_strings": ["x", LONG]}
    expected = np.array([LONG, "x", "_Unused", "x", "_Unused"])
    check_op("LabelEncoder", numbers, **keyed, ref=expected)
    x = np.array([1.5, np.nan, -0.0, 7], np.float32)
    keyed = ML | {"keys_floats": [1.5, float("nan"), 0.0], "values_floats": [1.0, 2.0, 3.0]}
    check_op("LabelEncoder", x, **keyed, ref=np.array([1, 2, 3, 0], np.float32))
    old = ML | {"opset": 1, "classes_strings": names}
    check_op("LabelEncoder", WORDS, **old, ref=np.array([0, -1, 2, 1, 0]))
    check_op(
        "LabelEncoder",
        numbers,
        **old,
        ref=np.array(["_Unused", "a"] + ["_Unused"] * 3)[[0, 1, 2, 1, 3]],
    )
    for dtype in (np.float64, np.int32, np.int16):
        tensors = {
            "keys_tensor": np.array([1, 5], dtype),
            "values_tensor": np.array([10, 50], np.int16),
            "default_tensor": np.array([-7], np.int16),
        }
        expected = np.array([-7, 10, -7, 10, 50], np.int16)
        options = ML | {"opset": 4}
        check_op("LabelEncoder", numbers.astype(dtype), **options, **tensors, ref=expected)
    options = ML | {"keys_int64s": [1, 3], "values_int64s": [1]}
    expect_error("LabelEncoder", numbers, **options, match="2 keys and 1 values")


def test_category_mapper() -> None:
    table = {"cats_int64s": [5, 6], "cats_strings": ["b", LONG]}
    check_op("CategoryMapper", WORDS, **ML, **table, ref=np.array([5, -1, 6, -1, 5]))
    expected = np.array(["b", "none"])
    check_op("CategoryMapper", np.array([5, 7]), **ML, **table, default_string="none", ref=expected)


def test_one_hot_encoder() -> None:
    numbers = [1, 2, 3]
    for dtype in (np.float32, np.float64, np.int64, np.int32):
        x = randint(0, 5, 4, 3).astype(dtype)
        expected = (x[..., None] == np.array(numbers)).astype(np.float32)
        check_op("OneHotEncoder", x, **ML, cats_int64s=numbers, ref=expected)
    x = np.array([2.7, np.nan, 1e30, -np.inf], np.float32)
    expected = np.array([[0, 1, 0]] + [[0, 0, 0]] * 3, np.float32)
    check_op("OneHotEncoder", x, **ML, cats_int64s=numbers, ref=expected)
    expected = (WORDS[:, None] == np.array(["a", "b"])).astype(np.float32)
    check_op("OneHotEncoder", WORDS, **ML, cats_strings=["a", "b"], ref=expected)
    options = ML | {"cats_strings": ["a", "b"], "zeros": 0}
    expect_error("OneHotEncoder", WORDS, **options, match="no known category")


def test_zip_map() -> None:
    x = randn(4, 3)
    expected = [dict(zip([5, 6, 7], row.tolist(), strict=True)) for row in x]
    check_op("ZipMap", x, **ML, classlabels_int64s=[5, 6, 7], ref=expected)
    expected = [dict(zip("abc", row.tolist(), strict=True)) for row in x]
    check_op("ZipMap", x, **ML, classlabels_strings=["a", "b", "c"], ref=expected)
    check_op("ZipMap", x[:0], **ML, classlabels_strings=["a", "b", "c"], ref=[])
    options = ML | {"classlabels_int64s": [5, 6]}
    expect_error("ZipMap", x, **options, match="2 class labels for 3 columns")


def test_dict_vectorizer() -> None:
    words = {"string_vocabulary": ["b", "none", "a"]}
    for dtype in (np.float32, np.float64, np.int64):
        values = dict(zip("abz", np.array([1, 2, 3], dtype), strict=True))
        check_op("DictVectorizer", values, **ML, **words, ref=np.array([[2, 0, 1]], dtype))
    check_op("DictVectorizer", {1: LONG}, **ML, int64_vocabulary=[4, 1], ref=np.array([["", LONG]]))


def test_cast_map() -> None:
    values = {4: np.float32(2.5), 1: np.float32(-1)}
    check_op("CastMap", values, **ML, ref=np.array([[-1, 2.5]], np.float32))
    check_op("CastMap", values, **ML, cast_to="TO_INT64", ref=np.array([[-1, 2]]))
    sparse = ML | {"map_form": "SPARSE", "max_map": 6}
    check_op("CastMap", values, **sparse, ref=np.array([[0, -1, 0, 0, 2.5, 0]], np.float32))
    check_op("CastMap", {2: "7"}, **ML, cast_to="TO_INT64", ref=np.array([[7]]))
    options = ML | {"map_form": "SPARSE", "max_map": 4}
    with pytest.raises(sardonyx.Error, match="key 4"):
        run_op("CastMap", values, **options)


@pytest.mark.slow
def test_scikit_learn_pipelines() -> None:
    pytest.importorskip("skl2onnx")
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler, Normalizer, StandardScaler
    from sklearn.svm import SVR

    x, y = load_iris(return_X_y=True)
    x = x.astype(np.float32)
    for steps, target in [
        ((StandardScaler(), LogisticRegression()), y),
        ((Normalizer(), LogisticRegression()), y > 0),
        ((StandardScaler(), LogisticRegression()), y.astype(str)),
        ((MaxAbsScaler(), LinearRegression()), y),
        ((StandardScaler(), SVR()), y),
    ]:
        pipeline = make_pipeline(*steps).fit(x, target)
        scored = hasattr(pipeline, "predict_proba")
        options = {id(pipeline): {"zipmap": False}} if scored else None
        model = to_onnx(pipeline, x[:1], options=options, target_opset={"": 18, "ai.onnx.ml": 3})
        result = sardonyx.load(model).run(None, {"X": x})
        if not hasattr(pipeline, "classes_"):
            np.testing.assert_allclose(result[0][:, 0], pipeline.predict(x), rtol=1e-4, atol=1e-4)
            continue
        assert (
            result[0].astype(str).tolist()
            == pipeline.predict(x)
            .astype(int if target.dtype == bool else target.dtype)
            .astype(str)
            .tolist()
        )
        if scored:
            expected = pipeline.predict_proba(x)
            np.testing.assert_allclose(result[1], expected, rtol=1e-4, atol=1e-4)

"""Trained in a moment on data that comes with scikit-learn, and a network too small to need any."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import torch
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from torch import nn

from zoo.recipe import Writer, recipe
from zoo.torch_export import export, seeded

SIZES = (1, 1000)


@recipe("tiny")
def mlp3(out: Writer) -> None:
    seeded(151)
    sizes = (16, 32, 32, 4)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    network = nn.Sequential(*layers[:-1], nn.Softmax(dim=-1))
    export(out, network, {"b1": {"x": torch.randn(1, sizes[0])}}, ["probs"])


def _table(name: str) -> tuple[Any, Any]:
    found = getattr(datasets, f"load_{name}")()
    return found.data.astype(np.float32), found.target


def _picks(rows: int, count: int) -> Any:
    return np.random.default_rng(count).integers(0, rows, count)


def _record(out: Writer, estimator: Any, x: Any, sizes: tuple[int, ...] = SIZES) -> None:
    """Rows by name X; what the estimator predicts goes under a name that no output has."""
    for count in sizes:
        rows = x[_picks(len(x), count)]
        out.case(f"b{count}", {"X": rows}, {"sk_predict": estimator.predict(rows)})


def _convert(out: Writer, estimator: Any, x: Any, options: dict[str, Any] | None = None) -> None:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    types = [("X", FloatTensorType([None, x.shape[1]]))]
    chosen = {id(estimator): options} if options else None
    onnx.save(convert_sklearn(estimator, initial_types=types, options=chosen), out.model)
    _record(out, estimator, x)


@recipe("tabular")
def sk_rf100(out: Writer) -> None:
    x, y = _table("digits")
    forest = RandomForestClassifier(n_estimators=100, random_state=0).fit(x, y)
    _convert(out, forest, x, {"zipmap": False})


@recipe("tabular")
def sk_gbc(out: Writer) -> None:
    """Probabilities come as a sequence of maps, the converter's default."""
    x, y = _table("breast_cancer")
    _convert(out, GradientBoostingClassifier(random_state=0).fit(x, y), x)


@recipe("tabular", main=False)
def sk_svm(out: Writer) -> None:
    x, y = _table("digits")
    _convert(out, SVC(probability=True, random_state=0).fit(x, y), x, {"zipmap": False})


@recipe("tabular", main=False)
def sk_knn(out: Writer) -> None:
    x, y = _table("digits")
    _convert(out, KNeighborsClassifier(5).fit(x, y), x, {"zipmap": False})


@recipe("tabular")
def sk_logreg_pipe(out: Writer) -> None:
    """Scaled numbers beside columns of words."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    x, y = _table("breast_cancer")
    size = np.array(["low", "mid", "high"])[np.digitize(x[:, 0], [12, 16])]
    texture = np.array(["a", "b"])[(x[:, 1] > 19).astype(int)]
    words = np.stack([size, texture], axis=1)
    table = np.concatenate([x.astype(object), words.astype(object)], axis=1)
    numbers = x.shape[1]
    columns = ColumnTransformer(
        [
            ("num", StandardScaler(), list(range(numbers))),
            ("cat", OneHotEncoder(handle_unknown="ignore"), [numbers, numbers + 1]),
        ]
    )
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(table, y)
    types = [("num", FloatTensorType([None, numbers])), ("cat", StringTensorType([None, 2]))]
    options = {id(pipeline): {"zipmap": False}}
    onnx.save(convert_sklearn(pipeline, initial_types=types, options=options), out.model)
    for count in SIZES:
        rows = _picks(len(x), count)
        feeds = {"num": x[rows], "cat": words[rows]}
        out.case(f"b{count}", feeds, {"sk_predict": pipeline.predict(table[rows])})


@recipe("tabular", main=False)
def text_pipe(out: Writer) -> None:
    """Sentences, split into words, to weighted counts of length one, to a class."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in "lmnrst"])
    topics = [rng.permutation(len(vocabulary))[:80] for _ in range(3)]
    labels = rng.integers(0, len(topics), 600)
    texts = [" ".join(vocabulary[rng.choice(topics[label], 30)]) for label in labels]
    weigh, judge = TfidfVectorizer(), LogisticRegression()
    judge.fit(weigh.fit_transform(texts), labels)
    words = weigh.get_feature_names_out().tolist()
    counts = {"mode": "TFIDF", "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0}
    indexes = {"ngram_counts": [0], "ngram_indexes": list(range(len(words)))}
    classes = {"classlabels_ints": judge.classes_.tolist(), "post_transform": "SOFTMAX"}
    scores = {"coefficients": judge.coef_.ravel(), "intercepts": judge.intercept_}
    node, ml = onnx.helper.make_node, "ai.onnx.ml"
    nodes = [
        node("StringSplit", ["text"], ["words", "lengths"]),
        node(
            "TfIdfVectorizer",
            ["words"],
            ["weighted"],
            pool_strings=words,
            weights=weigh.idf_.tolist(),
            **counts,
            **indexes,
        ),
        node("Normalizer", ["weighted"], ["unit"], domain=ml, norm="L2"),
        node(
            "LinearClassifier",
            ["unit"],
            ["label", "probabilities"],
            domain=ml,
            **classes,
            **{name: values.tolist() for name, values in scores.items()},
        ),
    ]
    info, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    outputs = [
        info("label", kinds.INT64, ["batch"]),
        info("probabilities", kinds.FLOAT, ["batch", len(topics)]),
    ]
    inputs = [info("text", kinds.STRING, ["batch"])]
    graph = onnx.helper.make_graph(nodes, "text", inputs, outputs)
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid(ml, 3)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), out.model)
    for count in SIZES:
        chosen = [texts[i] for i in _picks(len(texts), count)]
        predicted = judge.predict(weigh.transform(chosen))
        out.case(f"b{count}", {"text": np.array(chosen)}, {"sk_predict": predicted})


def _boosted(
    out: Writer, estimator: Any, convert: Any, sizes: tuple[int, ...], **options: Any
) -> None:
    from onnxmltools.convert.common.data_types import FloatTensorType

    x, y = _table("breast_cancer")
    estimator.fit(x, y)
    types = [("X", FloatTensorType([None, x.shape[1]]))]
    onnx.save(convert(estimator, initial_types=types, **options), out.model)
    _record(out, estimator, x, sizes)


@recipe("tabular")
def lgbm(out: Writer) -> None:
    import lightgbm
    import onnxmltools

    trees = lightgbm.LGBMClassifier(n_estimators=100, random_state=0, verbose=-1, n_jobs=1)
    _boosted(out, trees, onnxmltools.convert_lightgbm, (*SIZES, 10000), zipmap=False)


@recipe("tabular", main=False)
def xgb(out: Writer) -> None:
    import onnxmltools
    import xgboost

    trees = xgboost.XGBClassifier(n_estimators=100, max_depth=6, random_state=0, n_jobs=1)
    _boosted(out, trees, onnxmltools.convert_xgboost, SIZES)

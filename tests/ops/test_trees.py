"""Tree ensembles: against scikit-learn and ONNX Runtime through converters, and against a walk in
plain Python over random ensembles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import check_op, expect_error, randn, run_op

import sardonyx

ML = "ai.onnx.ml"
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
COMPARE = [np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal]


def random_ensemble(
    rng: np.random.Generator, trees: int, depth: int, modes: list[str], targets: int, prefix: str
) -> dict[str, Any]:
    """Attributes of random trees whose thresholds are small integers, so that features tie."""
    names = ["treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"]
    nodes: dict[str, list[Any]] = {f"nodes_{n}": [] for n in names}
    nodes["nodes_missing_value_tracks_true"] = []
    votes: dict[str, list[Any]] = {f"{prefix}_{n}": [] for n in ("treeids", "nodeids", "ids")}
    votes[f"{prefix}_weights"] = []
    for tree in range(trees):
        count = 0
        pending = [(0, 0)]
        while pending:
            node, level = pending.pop(0)
            leaf = level == depth or (level > 0 and rng.random() < 0.2)
            children = (0, 0) if leaf else (count + 1, count + 2)
            mode = "LEAF" if leaf else str(rng.choice(modes))
            row = (tree, node, int(rng.integers(4)), mode, float(rng.integers(-2, 3)), *children)
            for name, value in zip(names, row, strict=True):
                nodes[f"nodes_{name}"].append(value)
            nodes["nodes_missing_value_tracks_true"].append(int(rng.integers(2)))
            if leaf:
                for target in rng.permutation(targets)[: rng.integers(1, targets + 1)]:
                    row = (tree, node, int(target))
                    for name, value in zip(("treeids", "nodeids", "ids"), row, strict=True):
                        votes[f"{prefix}_{name}"].append(value)
                    votes[f"{prefix}_weights"].append(float(np.float32(rng.normal())))
            else:
                pending += [(children[0], level + 1), (children[1], level + 1)]
                count += 2
    return nodes | votes


def walk(x: np.ndarray, model: dict[str, Any], targets: int, prefix: str) -> np.ndarray:
    """Votes by [row, tree, target], NaN where there is none."""
    keys = list(zip(model["nodes_treeids"], model["nodes_nodeids"], strict=True))
    where = {key: i for i, key in enumerate(keys)}
    trees = max(model["nodes_treeids"]) + 1
    votes = np.full((len(x), trees, targets), np.nan)
    weights: dict[tuple[int, int], list[tuple[int, float]]] = {}
    fields = [model[f"{prefix}_{n}"] for n in ("treeids", "nodeids", "ids", "weights")]
    for tree, node, target, weight in zip(*fields, strict=True):
        weights.setdefault((tree, node), []).append((target, weight))
    for row, features in enumerate(x):
        for tree in range(trees):
            at = where[tree, 0]
            while model["nodes_modes"][at] != "LEAF":
                value = features[model["nodes_featureids"][at]]
                test = COMPARE[MODES.index(model["nodes_modes"][at])]
                taken = test(value, model["nodes_values"][at]) or (
                    np.isnan(value) and model["nodes_missing_value_tracks_true"][at]
                )
                child = model["nodes_truenodeids" if taken else "nodes_falsenodeids"][at]
                at = where[tree, child]
            for target, weight in weights[tree, model["nodes_nodeids"][at]]:
                votes[row, tree, target] = weight
    return votes


def features(rng: np.random.Generator, rows: int, dtype: Any = np.float32) -> np.ndarray:
    x = rng.integers(-3, 4, (rows, 4)).astype(dtype)
    if x.dtype.kind == "f":
        x[rng.random(x.shape) < 0.1] = np.nan
        x[rng.random(x.shape) < 0.1] = -0.0
        x[rng.random(x.shape) < 0.05] = np.inf
        x[rng.random(x.shape) < 0.05] = -np.inf
    return x


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("modes", [MODES, ["BRANCH_LEQ"], ["BRANCH_EQ", "BRANCH_NEQ"]])
@pytest.mark.parametrize(("rows", "targets"), [(1, 1), (5, 3), (300, 1), (37, 4), (0, 2)])
def test_regressor_of_random_trees(
    aggregate: str, modes: list[str], rows: int, targets: int
) -> None:
    rng = np.random.default_rng([rows, targets, len(modes)])
    model = random_ensemble(rng, 21, 5, modes, targets, "target")
    base = [float(np.float32(b)) for b in rng.normal(size=targets)]
    reduce = {"SUM": np.nansum, "AVERAGE": np.nansum, "MIN": np.nanmin, "MAX": np.nanmax}[aggregate]
    for dtype in (np.float32, np.float64, np.int64, np.int32):
        x = features(rng, rows, dtype)
        votes = walk(x.astype(np.float64), model, targets, "target")
        expected = reduce(votes, axis=1) / (21 if aggregate == "AVERAGE" else 1) + base
        check_op(
            "TreeEnsembleRegressor",
            x,
            domain=ML,
            opset=3,
            ref=expected.astype(np.float32),
            length=16,
            n_targets=targets,
            aggregate_function=aggregate,
            base_values=base,
            **model,
        )


def chains_of_tests(rng: np.random.Generator, trees: int) -> dict[str, Any]:
    """Trees that ask one feature for one value after the other, as for categories."""
    rows = []
    votes = []
    for tree in range(trees):
        length = int(rng.integers(1, 8))
        values = rng.choice([*range(12), 12, 70, 1023, 1024, -1, 2.5, -0.0, 2.0**100], length)
        # The tests are nodes 0 .. length - 1, then come the place of all of them and its leaves.
        for node, value in enumerate(values):
            missing = int(rng.random() < 0.05)
            after = node + 1 if node + 1 < length else length + 1
            rows.append((tree, node, tree % 3, "BRANCH_EQ", float(value), length, after, missing))
        rows.append((tree, length, 3, "BRANCH_LEQ", 0.0, length + 2, length + 3, 0))
        for leaf in (length + 1, length + 2, length + 3):
            rows.append((tree, leaf, 0, "LEAF", 0.0, 0, 0, 0))
            votes.append((tree, leaf, 0, float(np.float32(rng.normal()))))
    names = ["treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"]
    names.append("missing_value_tracks_true")
    model: dict[str, Any] = {f"nodes_{n}": [row[i] for row in rows] for i, n in enumerate(names)}
    for i, name in enumerate(("treeids", "nodeids", "ids", "weights")):
        model[f"target_{name}"] = [vote[i] for vote in votes]
    return model


@pytest.mark.parametrize(("trees", "rows"), [(1, 3), (40, 1), (40, 70), (500, 40), (9000, 3)])
def test_regressor_of_tests_for_categories(trees: int, rows: int) -> None:
    rng = np.random.default_rng([trees, rows])
    model = chains_of_tests(rng, trees)
    for dtype in (np.float32, np.float64, np.int64):
        x = rng.choice([*range(13), 70, 1023, 1024, 1025, -1, 2**30], (rows, 5)).astype(dtype)
        if x.dtype.kind == "f":
            odd = [np.nan, np.inf, -np.inf, -0.0, 2.5, np.nextafter(dtype(3), dtype(4)), 2.0**100]
            x = np.where(rng.random(x.shape) < 0.3, rng.choice(odd, x.shape), x).astype(dtype)
        expected = walk(x.astype(np.float64), model, 1, "target").sum(axis=1)
        check_op(
            "TreeEnsembleRegressor",
            x,
            domain=ML,
            opset=3,
            ref=expected.astype(np.float32),
            length=trees,
            n_targets=1,
            **model,
        )


def test_tests_for_categories_that_form_a_cycle() -> None:
    model = chains_of_tests(np.random.default_rng(1), 1)
    model |= {"nodes_modes": ["BRANCH_EQ"] * 3, "nodes_values": [0.0, 1.0, 2.0]}
    model |= {f"nodes_{n}": [0] * 3 for n in ("treeids", "featureids", "truenodeids")}
    model |= {"nodes_nodeids": [0, 1, 2], "nodes_missing_value_tracks_true": [0] * 3}
    for after in ([1, 2, 0], [1, 2, 1], [1, 2, 2]):
        expect_error(
            "TreeEnsembleRegressor",
            np.zeros((1, 1), np.float32),
            domain=ML,
            opset=3,
            match="cycle",
            **model | {"nodes_falsenodeids": after, "target_nodeids": [0] * 3},
        )


def test_double_thresholds_are_compared_as_doubles() -> None:
    third = np.array([1 / 3, np.nextafter(1 / 3, 1), np.float64(np.float32(1 / 3))])
    stump = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "n_targets": 1,
    }
    check_op(
        "TreeEnsembleRegressor",
        third[:, None],
        domain=ML,
        opset=3,
        ref=np.array([[1], [2], [2]], np.float32),
        nodes_values_as_tensor=np.array([1 / 3, 0, 0]),
        target_weights_as_tensor=np.array([1.0, 2.0]),
        **stump,
    )


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("one_id", [True, False])
@pytest.mark.parametrize("positive", [True, False])
def test_classifier_as_onnxruntime(
    transform: str, classes: int, one_id: bool, positive: bool
) -> None:
    if classes == 2 and not one_id:
        pytest.skip("onnxruntime gives labels that the model does not have")
    rng = np.random.default_rng([classes, one_id, positive])
    targets = 1 if one_id else classes
    model = random_ensemble(rng, 13, 4, ["BRANCH_LEQ"], targets, "class")
    if classes > 2:  # every class gets a vote: what none means is open
        for target in range(classes):
            model["nodes_treeids"].append(13 + target)
            model["class_treeids"].append(13 + target)
            for name, value in [
                ("nodeids", 0),
                ("featureids", 0),
                ("modes", "LEAF"),
                ("values", 0.0),
            ]:
                model[f"nodes_{name}"].append(value)
            for name in ("truenodeids", "falsenodeids", "missing_value_tracks_true"):
                model[f"nodes_{name}"].append(0)
            model["class_nodeids"].append(0)
            model["class_ids"].append(target)
            model["class_weights"].append(0.25)
    if positive:
        model["class_weights"] = [abs(w) / 20 for w in model["class_weights"]]
    for rows in (1, 40):
        x = features(rng, rows)
        for labels in (
            {"classlabels_int64s": [3 * c + 1 for c in range(classes)]},
            {"classlabels_strings": [f"c{c}" for c in range(classes)]},
        ):
            check_op(
                "TreeEnsembleClassifier",
                x,
                domain=ML,
                opset=3,
                outputs=2,
                ref="ort",
                length=16,
                post_transform=transform,
                **labels,
                **model,
            )


def test_two_scored_classes_take_the_larger() -> None:
    stump = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "class_treeids": [0] * 4,
        "class_nodeids": [1, 1, 2, 2],
        "class_ids": [0, 1, 0, 1],
        "class_weights": [0.25, 0.75, 0.625, 0.375],
        "classlabels_int64s": [10, 11],
    }
    scores = np.array([[0.25, 0.75], [0.625, 0.375]], np.float32)
    check_op(
        "TreeEnsembleClassifier",
        np.array([[0.0], [1.0]], np.float32),
        domain=ML,
        opset=3,
        outputs=2,
        ref=(np.array([11, 10]), scores),
        **stump,
    )


def test_tree_ensemble_with_sets() -> None:
    # Feature 0 in {1, 3, 4} or missing -> 10, else feature 1 > 2 -> 20, else 30; twice, averaged.
    for dtype in (np.float32, np.float64, np.float16):
        rng = np.random.default_rng(3)
        x = rng.integers(-1, 6, (50, 2)).astype(dtype)
        x[::7, 0] = np.nan
        member = np.isin(x[:, 0], [1, 3, 4]) | np.isnan(x[:, 0])
        expected = np.where(member, 10, np.where(x[:, 1] > 2, 20, 30)).astype(dtype)[:, None]
        check_op(
            "TreeEnsemble",
            x,
            domain=ML,
            opset=5,
            ref=expected,
            n_targets=1,
            aggregate_function=0,
            tree_roots=[0, 2],
            nodes_modes=np.array([6, 3, 6, 3], np.uint8),
            nodes_splits=np.array([0, 2, 0, 2], dtype),
            nodes_featureids=[0, 1, 0, 1],
            nodes_truenodeids=[0, 1, 0, 1],
            nodes_trueleafs=[1, 1, 1, 1],
            nodes_falsenodeids=[1, 2, 3, 2],
            nodes_falseleafs=[0, 1, 0, 1],
            nodes_missing_value_tracks_true=[1, 0, 1, 0],
            membership_values=np.array([4, 1, 3, np.nan, 3, 4, 1, np.nan], dtype),
            leaf_targetids=[0, 0, 0],
            leaf_weights=np.array([10, 20, 30], dtype),
        )


CHAIN = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 1, 0],
    "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"],
    "nodes_values": [0.0, 0.0, 0.0],
    "nodes_truenodeids": [1, 2, 0],
    "nodes_falsenodeids": [2, 2, 0],
    "target_treeids": [0],
    "target_nodeids": [2],
    "target_ids": [0],
    "target_weights": [1.0],
    "n_targets": 1,
}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"nodes_truenodeids": [1, 0, 0]}, "cycle"),
        ({"nodes_truenodeids": [1, 1, 0]}, "cycle"),
        ({"nodes_truenodeids": [1, 7, 0]}, "no node 7"),
        ({"nodes_nodeids": [0, 1, 1]}, "twice"),
        ({"nodes_featureids": [0, -1, 0]}, "feature id -1"),
        ({"nodes_featureids": [0, 2, 0]}, "feature 2, rows have 2"),
        ({"nodes_values": [0.0]}, "nodes_values"),
        ({"nodes_modes": ["BRANCH_LEQ", "OTHER", "LEAF"]}, "OTHER"),
        ({"target_ids": [1]}, "target id 1"),
        ({"target_ids": [-1]}, "target id -1"),
        ({"target_nodeids": [9]}, "no node 9"),
        ({"n_targets": 0}, "0 targets"),
        ({"base_values": [1.0, 2.0]}, "base values"),
        ({"aggregate_function": "MEDIAN"}, "MEDIAN"),
        ({"post_transform": "TANH"}, "TANH"),
    ],
)
def test_broken_trees_are_refused(change: dict[str, Any], match: str) -> None:
    expect_error(
        "TreeEnsembleRegressor", randn(3, 2), domain=ML, opset=3, match=match, **CHAIN | change
    )


def test_nodes_and_votes_lie_in_any_order() -> None:
    rng = np.random.default_rng(11)
    model = random_ensemble(rng, 5, 4, MODES, 2, "target")
    x = features(rng, 40)
    expected = np.nansum(walk(x, model, 2, "target"), axis=1).astype(np.float32)
    is_root = np.array(model["nodes_nodeids"]) == 0  # a tree's first node in the file
    inner = rng.permutation(np.flatnonzero(~is_root))
    orders = {"nodes": [*np.flatnonzero(is_root), *inner]}
    orders["target"] = rng.permutation(len(model["target_ids"])).tolist()
    for name, values in model.items():
        scale = 7 if name.endswith("nodeids") else -3 if name.endswith("treeids") else 1
        model[name] = [
            values[i] * scale if scale != 1 else values[i] for i in orders[name.split("_")[0]]
        ]
    check_op(
        "TreeEnsembleRegressor",
        x,
        domain=ML,
        opset=3,
        ref=expected,
        length=16,
        n_targets=2,
        **model,
    )


def test_shared_nodes_are_walked() -> None:
    assert run_op("TreeEnsembleRegressor", randn(3, 2), domain=ML, opset=3, **CHAIN).sum() == 3


def converted(estimator: Any, x: np.ndarray, **options: Any) -> Any:
    from skl2onnx import to_onnx

    return to_onnx(estimator, x[:1], target_opset={"": 18, ML: 3}, **options)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_scikit_learn_models(rows: int) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    datasets = pytest.importorskip("sklearn.datasets")
    pytest.importorskip("skl2onnx")
    x, y = datasets.load_digits(return_X_y=True)
    x = x.astype(np.float32)
    for estimator, target in [
        (ensemble.RandomForestClassifier(20, random_state=0), y),
        (ensemble.RandomForestClassifier(20, random_state=0), y > 4),
        (ensemble.RandomForestClassifier(20, min_samples_leaf=9, random_state=0), y.astype(str)),
        (ensemble.ExtraTreesClassifier(20, random_state=0), y),
        (ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0), y),
        (ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0), y > 4),
    ]:
        estimator.fit(x, target)
        options = {type(estimator): {"zipmap": False}}
        model = sardonyx.load(converted(estimator, x, options=options))
        label, scores = model.run(None, {"X": x[:rows]})
        expected = estimator.predict_proba(x[:rows])
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
        assert (
            label.astype(str).tolist()
            == estimator.predict(x[:rows])
            .astype(int if target.dtype == bool else target.dtype)
            .astype(str)
            .tolist()
        )
    for estimator in [
        ensemble.RandomForestRegressor(20, random_state=0),
        ensemble.GradientBoostingRegressor(n_estimators=20, random_state=0),
    ]:
        estimator.fit(x, y)
        model = sardonyx.load(converted(estimator, x))
        result = model.run(None, {"X": x[:rows]})[0]
        np.testing.assert_allclose(result[:, 0], estimator.predict(x[:rows]), rtol=1e-5, atol=1e-5)

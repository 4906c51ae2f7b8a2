"""Small operators of com.microsoft, and experiments of the first versions of the standard."""

import numpy as np
import onnx
import pytest
from helpers import check_op, expect_error, make_model, randint, randn, run_op
from onnx import TensorProto, helper

import sardonyx

MS = {"domain": "com.microsoft"}
ORT = MS | {"ref": "ort"}


def texts(*items):
    return np.array(items, dtype=object)


@pytest.mark.parametrize("mark", [0, 1])
@pytest.mark.parametrize("least", [1, 2, 3])
@pytest.mark.parametrize("attrs", [
    {"separators": [" "]},
    {"separators": [", ", " ", "-+"]},
    {"separators": ["a", "ab"]},
    {"separators": ["l+", "[o!]"]},
    {"tokenexp": "[a-z]+"},
    {"tokenexp": "a|ab|abc"},
    {"tokenexp": "[^ ]+"},
    {"tokenexp": r"\b\w"},
])  # fmt: skip
def test_tokenizer(attrs, least, mark):
    x = texts(
        "Hello, World", "I love computer science !", "", "ab-cab--abcab", "größe übel löst", " "
    )
    options = ORT | {"pad_value": "#", "mincharnum": least, "mark": mark} | attrs
    check_op("Tokenizer", x, **options)
    check_op("Tokenizer", x.reshape(2, 3), **options)
    check_op("Tokenizer", texts("", ""), **options)


@pytest.mark.parametrize("attrs", [{"separators": [""]}, {"tokenexp": "."}])
@pytest.mark.parametrize("mark", [0, 1])
def test_tokenizer_of_characters(attrs, mark):
    options = ORT | {"pad_value": "##", "mincharnum": 1, "mark": mark} | attrs
    check_op("Tokenizer", texts("abc", "größe", "", "日本語!"), **options)


def test_tokenizer_refusals():
    x = texts("a")
    options = MS | {"pad_value": "#", "mincharnum": 1, "mark": 0}
    expect_error("Tokenizer", x, match="either separators", **options)
    expect_error("Tokenizer", x, match="a separator is empty", separators=["a", ""], **options)
    expect_error("Tokenizer", x, match="mincharnum is 0", separators=["a"],
                 **(options | {"mincharnum": 0}))  # fmt: skip
    cube = x.reshape(1, 1, 1)
    expect_error("Tokenizer", cube, match=r"expected shape \[C\]", separators=["a"], **options)


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("dtype", ["i4", "u4", "i8", "u8", "f4", "f8"])
def test_hash(dtype, positive):
    check_op("MurmurHash3", randint(0, 1 << 30, 5, 3).astype(dtype), positive=positive, **ORT)
    words = texts("", "a", "ab", "abc", "abcd", "größe", "0123456789")
    check_op("MurmurHash3", words, positive=positive, seed=42, **ORT)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_repeated_ngrams(n):
    for length in (0, 1, 4, 12):
        tokens, scores = randint(0, 4, 3, length), randn(3, 7)
        if length + 1 >= n:
            check_op("NGramRepeatBlock", tokens, scores, ngram_size=n, **ORT)
    expect_error("NGramRepeatBlock", np.array([[9, 9]]), randn(1, 7), match="token 9", ngram_size=1,
                 **MS)  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_bifurcation(seed):
    source = randint(0, 6, 12, seed=seed)
    current = randint(0, 6, 5, seed=seed + 100)
    for least, most in ((1, 3), (2, 2), (1, 5)):
        options = ORT | {"outputs": 2, "min_ngram_size": least, "max_ngram_size": most}
        check_op("BifurcationDetector", source, current, np.int64(4), **options)
        predicted = np.concatenate([source[4 : 4 + seed], randint(0, 6, 9 - seed, seed=seed)])
        check_op("BifurcationDetector", source, current, np.int64(4), predicted, **options)
    expect_error("BifurcationDetector", source, current, np.int64(4), source, match="predicted",
                 outputs=2, **MS)  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 1), (5, 8), (8, 5), (1, 6), (6, 1), (1, 7, 7)])
def test_time_warping(shape):
    check_op("DynamicTimeWarping", np.abs(randn(*shape)), **ORT)
    check_op("DynamicTimeWarping", randint(0, 3, *shape).astype(np.float32), **ORT)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_crops(mode):
    x = randn(2, 3, 7, 9)
    boxes = [[0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], [-0.2, 0.3, 1.2, 0.5], [0.8, 0.7, 0.2, 0]]
    boxes = np.array(boxes, np.float32)
    which = np.array([1, 0, 1, 0], np.int32)
    for size in ([3, 4], [1, 1], [1, 5], [12, 2]):
        check_op("CropAndResize", x, boxes, which, np.array(size, np.int32), mode=mode,
                 extrapolation_value=7.5, **ORT)  # fmt: skip
    expect_error("CropAndResize", x, boxes, which + 1, np.array([2, 2], np.int32), match="image 2",
                 **MS)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_inverse(dtype):
    x = randn(2, 3, 5, 5) + np.eye(5, dtype=np.float32) * 4
    check_op("Inverse", x.astype(dtype), length=25, **ORT)
    check_op("Inverse", np.array([[0, 2], [4, 0]], dtype), **ORT)
    expect_error("Inverse", randn(2, 3).astype(dtype), match="square", **MS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_distances(metric, dtype):
    def distances(a, b):
        wide = a.astype(np.float64)[:, None] - b.astype(np.float64)[None]
        squares = (wide**2).sum(-1)
        return (np.sqrt(squares) if metric == "euclidean" else squares).astype(dtype)

    a, b = randn(6, 5, dtype=dtype), randn(4, 5, seed=1, dtype=dtype)
    check_op("CDist", a, b, ref=distances, metric=metric, **MS)
    check_op("CDist", a, b, length=1000, metric=metric, **ORT)


@pytest.mark.parametrize("dtype", ["f4", "f2", "i8", "u1", "?"])
@pytest.mark.parametrize("dim", [-1, 0, 1])
def test_unfold(dim, dtype):
    x = randint(0, 100, 4, 6, 7).astype(dtype)
    for size, step in ((2, 1), (3, 2), (4, 3)):
        windows = np.lib.stride_tricks.sliding_window_view(x, size, dim)
        axis = dim - 1 if dim < 0 else dim
        windows = windows.take(range(0, windows.shape[axis], step), axis)
        options = MS | {"dim": dim, "size": size, "step": step}
        check_op("UnfoldTensor", x, ref=windows, **options)
        if dtype in ("f4", "i8"):
            check_op("UnfoldTensor", x, **(options | ORT))
    pairs = texts("a", "b", "b", "c").reshape(2, 2)
    check_op("UnfoldTensor", texts("a", "b", "c"), ref=pairs, size=2, **MS)
    whole = {"size": x.shape[-1], "step": 2**63 - 1}
    check_op("UnfoldTensor", x, ref=x[..., None, :], **whole, **MS)
    expect_error("UnfoldTensor", x, match="windows of 9", size=9, **MS)


def test_words():
    words = randint(1, 9, 6, 8, dtype=np.int32)
    for i, length in enumerate([8, 1, 2, 3, 5, 7]):
        words[i, length:] = 0
    w, b, table = randn(5, 1, 3, 4), randn(5), randn(10, 4)
    check_op("WordConvEmbedding", words, w, b, table, length=12, **ORT)
    check_op("WordConvEmbedding", words, w, b, table, length=12, embedding_size=5,
             conv_window_size=3, char_embedding_size=4, **ORT)  # fmt: skip
    padding = run_op("WordConvEmbedding", words * 0, w, b, table, **MS)
    assert not padding.any()
    expect_error("WordConvEmbedding", words + 9, w, b, table, match="character", **MS)
    expect_error("WordConvEmbedding", words, w, b, table, match="expected 4", embedding_size=4,
                 **MS)  # fmt: skip


def test_same_forms():
    check_op("TransposeMatMul", randn(2, 4, 3), randn(2, 5, 4), transA=1, transB=1, alpha=0.5,
             length=4, **ORT)  # fmt: skip
    check_op("GatherND", randn(3, 4, 5), randint(0, 3, 2, 2), **ORT)
    check_op("GatherND", texts("a", "b", "c"), np.array([[1], [0]], np.int32), **ORT)
    grid = randn(1, 3, 4, 2) * np.float32(0.6)
    image = randn(1, 2, 5, 6)
    for mode in ("bilinear", "nearest", "bicubic"):
        for padding in ("zeros", "border", "reflection"):
            for aligned in (0, 1):
                options = {"mode": mode, "padding_mode": padding, "align_corners": aligned}
                check_op("GridSample", image, grid, length=16, **options, **ORT)
                check_op("GridSample", image, grid * 4, length=16, **options, **ORT)
                if (mode, padding) != ("bicubic", "border"):
                    expected = run_op("GridSample", image, grid, opset=16, **options)
                    check_op("GridSample", image, grid, ref=expected, **options, **MS)
    check_op("Trilu", randn(2, 4, 5), np.int64(1), upper=0, **ORT)
    check_op("Trilu", randn(4, 5), **ORT)
    check_op("SampleOp", randn(3, 4), **ORT)
    check_op("Unique", np.array([2, 1, 1, 3, 4, 3], np.float32), outputs=3, **ORT)
    for mode in ("constant", "reflect", "edge"):
        pads = np.array([1, 2, 0, 1])
        check_op("Pad", randn(4, 5), pads, mode=mode, **ORT)
        check_op("Pad", randn(4, 5), pads[None], mode=mode, **ORT)
    check_op("Pad", randn(4, 5), np.array([1, -1, 0, 1]), np.array([2.5], np.float32), **ORT)
    for dtype in ("f4", "f8", "i2", "i4", "i8"):
        check_op("Range", np.dtype(dtype).type(1), np.dtype(dtype).type(6), **ORT)
        args = np.array([[9], [-2], [-3]]).astype(dtype)
        check_op("Range", *args, **ORT)
    for axis in (0, 1, -1, -3):
        check_op("ExpandDims", randn(2, 3), np.int32(axis), **ORT)
    check_op("ExpandDims", randn(2, 3), np.array([1], np.int32), ref=lambda x, _: x[:, None], **MS)


def test_transposed_convolution():
    x, w, b = randn(1, 3, 5, 6), randn(3, 2, 3, 3), randn(2)
    pads = np.array([1, 0, 0, 1])
    expected = run_op("ConvTranspose", x, w, b, pads=[1, 0, 0, 1], strides=[2, 2])
    options = {"strides": [2, 2], "domain": "com.microsoft"}
    model_inputs = (x, w, pads, b)
    attrs = {"strides": [2, 2]}
    model = make_model("ConvTransposeWithDynamicPads", model_inputs, constants=(2,),
                       domain="com.microsoft", attrs=attrs)  # fmt: skip
    y = sardonyx.load(model).run(None, {"x0": x, "x1": w, "x3": b})[0]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    check_op("ConvTransposeWithDynamicPads", x, w, pads, b, output_padding=[1, 0], length=9,
             **options, ref="ort")  # fmt: skip
    expected = run_op("ConvTranspose", x, w, strides=[2, 2])
    check_op("ConvTransposeWithDynamicPads", x, w, ref=expected, length=9, **options)


@pytest.mark.parametrize("masks", [(2, 3), (1, 3), (1, 1), (2, 1)])
@pytest.mark.parametrize(
    ("sizes", "attrs"),
    [
        ((9,), {"kernel_shape": [3], "pads": [1, 1]}),
        ((5, 7), {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]}),
        ((5, 7), {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
        ((4, 5, 5), {"kernel_shape": [2, 3, 2], "pads": [0, 1, 1, 1, 1, 0]}),
    ],
)
def test_masked_pool(sizes, attrs, masks):
    """Masked elements, whatever ONNX Runtime takes them to be, and windows where all are."""
    x, mask = randn(2, 3, *sizes), randint(0, 2, *masks, *sizes, dtype=np.int32)
    check_op("MaxpoolWithMask", x, mask, **attrs, **ORT)
    check_op("MaxpoolWithMask", x, mask * 0, **attrs, **ORT)


def test_masked_pool_refusals():
    x, mask = randn(1, 2, 4, 4), np.ones((1, 1, 4, 5), np.int32)
    expect_error("MaxpoolWithMask", x, mask, match="a mask of shape", kernel_shape=[2, 2], **MS)
    expect_error("MaxpoolWithMask", x, mask[..., :4], match="kernel_shape", **MS)
    expect_error("MaxpoolWithMask", x, mask[0, ..., :4], match="rank 3", kernel_shape=[2, 2], **MS)
    none = np.ones((0, 1, 4, 4), np.int32)
    expect_error("MaxpoolWithMask", x, none, match="a mask of shape", kernel_shape=[2, 2], **MS)


def test_wide_integers():
    a, b = randint(-128, 128, 3, 4, dtype=np.int8), randint(-128, 128, 4, dtype=np.int8, seed=1)
    product = (a.astype(np.int32) - 3) * (b.astype(np.int32) + 5)
    check_op("MulInteger", a, np.int8(3), b, np.int8(-5), ref=product, **MS)
    check_op("MulInteger", a, None, b, ref=a.astype(np.int32) * b, **MS)
    total = a.sum(1, keepdims=True, dtype=np.int32)
    check_op("ReduceSumInteger", a, ref=total, axes=[1], keepdims=1, **MS)


def test_biased():
    x, bias, skip = randn(2, 3, 8), randn(8), randn(2, 3, 8, seed=1)
    check_op("BiasAdd", x, bias, skip, ref=x + bias + skip, **MS)
    left, right = np.split(x + bias, 2, -1)
    gelu = run_op("Gelu", right)
    check_op("BiasSplitGelu", x, bias, ref=left * gelu, **MS)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("bias", [(2, 3, 4), (1, 1, 4), (3, 4), (2, 1, 4)])
def test_biased_softmax(bias, axis):
    """Over all axes from `axis` on at once, as the Softmax of opset 11."""
    x, b = randn(2, 3, 4), randn(*bias, seed=1)
    expected = run_op("Softmax", x + b, axis=1 if axis is None else axis, opset=11)
    check_op("BiasSoftmax", x, b, ref=expected, axis=axis, is_inner_broadcast=1, **MS)


def group_norm(x, scale, bias, groups, activation):
    """In the middle of the channels, which come last."""
    rows = x.astype(np.float64).reshape(len(x), -1, groups, x.shape[-1] // groups)
    rows = rows - rows.mean((1, 3), keepdims=True)
    rows = rows / np.sqrt((rows**2).mean((1, 3), keepdims=True) + 1e-5)
    y = rows.reshape(x.shape) * scale + bias
    return (y / (1 + np.exp(-y)) if activation else y).astype(x.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("last", [None, 0])
@pytest.mark.parametrize("activation", [0, 1])
def test_group_norm(activation, last, dtype):
    x = randn(2, 5, 3, 8).astype(dtype)
    scale, bias = randn(8), randn(8, seed=1)
    arrange = (lambda a: a) if last is None else (lambda a: np.moveaxis(a, -1, 1))
    options = {"groups": 4, "activation": activation, "channels_last": last, "length": 30} | MS
    expected = arrange(group_norm(x, scale, bias, 4, activation))
    check_op("GroupNorm", arrange(x), scale, bias, ref=expected, **options)
    extra = randn(8, seed=2).astype(dtype)
    for shape in [(2, 5, 3, 8), (2, 1, 1, 8), (2, 8)]:
        skip = randn(*shape, seed=3).astype(dtype)
        wide = skip if len(shape) == 4 else skip[:, None, None]
        given = skip if len(shape) == 2 else arrange(skip)
        for more in (None, extra):
            total = x + wide if more is None else x + wide + more
            expected = arrange(group_norm(total, scale, bias, 4, activation))
            check_op("SkipGroupNorm", arrange(x), scale, bias, given, more, outputs=2,
                     ref=(expected, arrange(total)), **options)  # fmt: skip


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_transforms(dtype, axes):
    x = randn(2, 3, 4, 6).astype(dtype)
    spectrum = np.fft.rfftn(x.astype(np.float64), axes=range(4 - axes, 4))
    pairs = np.stack([spectrum.real, spectrum.imag], -1).astype(dtype)
    options = {"signal_ndim": axes, "length": 72} | MS
    check_op("Rfft", x, ref=pairs, **options)
    check_op("Irfft", pairs, ref=x, **options)
    expect_error("Rfft", x, match="normalized is not 0", normalized=1, **MS)
    expect_error("Irfft", pairs, match="signal_ndim is 4", signal_ndim=4, **MS)


@pytest.mark.parametrize("bidirectional", [0, 1])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (40, 40), (3, 200)])
def test_relative_bias(queries, keys, bidirectional):
    """T5's: half of the distances of a side up to max_distance are told apart by themselves."""
    table, farthest = randn(16, 3), 64
    offset = np.arange(keys) - np.arange(queries)[:, None]
    count = 16 >> bidirectional
    distance = np.abs(offset) if bidirectional else np.maximum(-offset, 0)
    exact = count // 2
    share = np.log(np.maximum(distance, exact) / exact) / np.log(farthest / exact)
    far = np.minimum(exact + (share * (count - exact)).astype(np.int64), count - 1)
    bucket = np.where(distance < exact, distance, far) + bidirectional * (offset > 0) * count
    lengths = [np.array(n, np.int64) for n in (queries, keys)]
    check_op("RelativePositionBias", table, *lengths, max_distance=farthest,
             is_bidirectional=bidirectional, ref=table[bucket].transpose(2, 0, 1)[None],
             **MS)  # fmt: skip


def test_gated_relative_bias():
    batch, length, heads, width, columns = 2, 5, 3, 4, 8
    x, shift = randn(batch, length, heads * width), randn(heads * width)
    relative, weight, bias = randn(1, heads, length, length), randn(width, columns), randn(columns)
    factor = randn(1, heads, 1, 1)
    rows = (x + shift).reshape(batch, length, heads, width).transpose(0, 2, 1, 3)
    sums = (rows @ weight + bias).reshape(batch, heads, length, 2, -1).sum(-1)
    gates = 1 / (1 + np.exp(-sums))
    expected = (gates[..., :1] * (gates[..., 1:] * factor - 1) + 2) * relative
    inputs = (x, shift, relative, weight, bias, factor)
    check_op("GatedRelativePositionBias", *inputs, num_heads=heads, ref=expected, length=32, **MS)
    expect_error("GatedRelativePositionBias", *inputs, np.zeros((2, 5), np.int32), num_heads=heads,
                 match="without padding", **MS)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("transposed", [0, 1])
def test_product_of_a_sparse_input(transposed, dtype):
    """Fed in coordinates, linear or of both axes, and as compressed rows."""
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 2, 0, 0], [0, 0, 0, 0], [3, 0, -1, 5]], dtype)
    b = randint(-5, 5, 3 if transposed else 4, 2).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    node = helper.make_node("SparseToDenseMatMul", ["A", "B"], ["Y"], domain="com.microsoft",
                            transA=transposed)  # fmt: skip
    a_info = helper.make_sparse_tensor_value_info("A", kind, ["m", "k"])
    b_info = helper.make_tensor_value_info("B", kind, b.shape)
    graph = helper.make_graph([node], "g", [a_info, b_info], [onnx.ValueInfoProto(name="Y")])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    loaded = sardonyx.load(helper.make_model(graph, opset_imports=imports, ir_version=8))
    rows, columns = np.nonzero(dense)
    places = [np.stack([rows, columns], 1), rows * 4 + columns]
    forms = [(dense[rows, columns], at, dense.shape) for at in places]
    forms += [sparse.coo_matrix(dense), sparse.csr_matrix(dense)]
    expected = (dense.T if transposed else dense) @ b
    for form in forms:
        (y,) = loaded.run(None, {"A": form, "B": b})
        np.testing.assert_array_equal(y, expected)
    (y,) = loaded.run(None, {"A": sparse.coo_matrix(dense.shape, dtype=dtype), "B": b})
    assert not y.any()
    for at in (np.array([12]), np.array([[0, 4]]), np.array([-1])):
        with pytest.raises(sardonyx.Error, match="sparse"):
            loaded.run(None, {"A": (dense[0, 1:2], at, dense.shape), "B": b})


def test_sparse_product():
    dense = np.array([[0, 2, 0], [0, 0, 0], [1.5, 0, -1]], np.float32)
    rows, columns = np.nonzero(dense)
    values = helper.make_tensor("A", TensorProto.FLOAT, [len(rows)], dense[rows, columns])
    places = helper.make_tensor("places", TensorProto.INT64, [len(rows)], rows * 3 + columns)
    sparse = helper.make_sparse_tensor(values, places, [3, 3])
    node = helper.make_node("SparseToDenseMatMul", ["A", "B"], ["Y"], domain="com.microsoft",
                            transA=1, alpha=2.0)  # fmt: skip
    info = helper.make_tensor_value_info("B", TensorProto.FLOAT, [3, 4])
    graph = helper.make_graph([node], "g", [info], [onnx.ValueInfoProto(name="Y")])
    graph.sparse_initializer.append(sparse)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    b = randn(3, 4)
    y = sardonyx.load(model).run(None, {"B": b})[0]
    np.testing.assert_allclose(y, 2 * dense.T @ b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_experiments(dtype):
    x = randn(2, 3, 6, 7, dtype=dtype)
    numbers = {"alpha": 1.5, "beta": 0.25}
    wide = x.astype(np.float64)
    exact = {
        "Affine": 1.5 * wide + 0.25,
        "ScaledTanh": 1.5 * np.tanh(0.25 * wide),
        "ParametricSoftplus": 1.5 * np.log1p(np.exp(0.25 * wide)),
    }
    for name, expected in exact.items():
        check_op(name, x, ref=expected.astype(dtype), opset=6, **numbers)
    factor = float(np.float32(0.3))
    check_op("Scale", x, ref=(wide * factor).astype(dtype), opset=6, scale=0.3)
    bias = np.array([0.5, -1, 2])
    scaled = (wide * factor + bias[:, None, None]).astype(dtype)
    check_op("ImageScaler", x, ref=scaled, opset=6, scale=0.3, bias=list(bias))
    check_op("Crop", x, ref=x[:, :, 2:5, 1:4], opset=6, border=[1, 2, 3, 1])
    check_op("Crop", x, ref=x[:, :, 2:6, 1:3], opset=6, border=[1, 2, 3, 1], scale=[4, 2])
    if dtype is np.float32:
        for name in exact:
            check_op(name, x, ref="ort", opset=7, **numbers)
        check_op("ImageScaler", x, ref="ort", opset=7, scale=0.3, bias=list(bias))
        check_op("Crop", x, ref="ort", opset=7, border=[1, 2, 3, 1])
        check_op("Crop", x, ref="ort", opset=7, border=[1, 2, 0, 0], scale=[4, 2])
        check_op("ThresholdedRelu", x, ref="ort", opset=7, alpha=0.7)
    with pytest.raises(sardonyx.Error, match="leaves too little"):
        run_op("Crop", x, opset=6, border=[4, 0, 4, 0])
    with pytest.raises(sardonyx.Error, match=r"overflow|too large"):
        run_op("Crop", x, opset=6, border=[2**63 - 1, 0, 1, 0])
    most = [2**63 - 1, 1]
    expect_error("Crop", x, match=r"overflow|too large", opset=6, border=[1, 1, 0, 0], scale=most)
    expect_error("ImageScaler", x, match="bias has 2|do not broadcast", opset=6, bias=[1.0, 2.0])


def test_fill():
    node = helper.make_node("GivenTensorFill", [], ["Y"], values=[1.0, 2.0, 3.0, 4.0], shape=[2, 2])
    graph = helper.make_graph([node], "g", [], [onnx.ValueInfoProto(name="Y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)], ir_version=8)
    y = sardonyx.load(model).run(None, {})[0]
    np.testing.assert_array_equal(y, np.array([[1, 2], [3, 4]], np.float32))
    check_op("GivenTensorFill", np.array([2, 1]), ref=np.array([[[1, 2]], [[3, 4]]], np.float32),
             opset=6, values=[1.0, 2.0, 3.0, 4.0], extra_shape=[2], input_as_shape=1)  # fmt: skip

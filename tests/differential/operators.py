"""Random nodes of single operators: attributes, shapes (empty ones too), types, broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np
from draw import FLOATS, INTEGERS, NUMBERS, Case, Draw, case

# --- elementwise


@case("Abs", "Neg", "Sign", "Relu", "Identity")
def number_function(d: Draw, op: str) -> Case:
    signed = tuple(t for t in NUMBERS if np.dtype(t).kind != "u")
    return Case(op, [d.array(d.one(signed), d.shape())])


@case("Exp", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Erf", "Sigmoid",
      "Softplus", "Softsign", "Floor", "Ceil", "Round", "Gelu", "Mish", "HardSwish", "Reciprocal",
      "IsNaN", "IsInf")  # fmt: skip
def float_function(d: Draw, op: str) -> Case:
    attrs: dict[str, Any] = {}
    if op == "Gelu":
        attrs["approximate"] = d.one(["none", "tanh"])
    if op == "IsInf":
        attrs = {"detect_negative": d.number(0, 1), "detect_positive": d.number(0, 1)}
    # The oracles compute these in float32, or not at all in float64.
    narrow = op in ("Erf", "Gelu", "HardSwish")
    x = d.array(np.float32 if narrow else d.one(FLOATS[:2]), d.shape())
    if op.startswith("Is") and x.size:
        x.reshape(-1)[0] = d.one([np.nan, np.inf, -np.inf])
    return Case(op, [x], attrs)


@case("Log", "Sqrt")
def positive_function(d: Draw, op: str) -> Case:
    return Case(op, [np.abs(d.array(d.one(FLOATS[:2]), d.shape()))])


@case("Acos", "Asin", "Atanh", "Acosh")
def bounded_function(d: Draw, op: str) -> Case:
    x = np.tanh(d.array(d.one(FLOATS[:2]), d.shape(), 0.5))
    return Case(op, [1 / np.abs(x) if op == "Acosh" else x])


@case("LeakyRelu", "Elu", "Celu", "ThresholdedRelu", "Selu", "HardSigmoid", "Shrink", "Swish")
def activation(d: Draw, op: str) -> Case:
    names = {"Shrink": ("bias", "lambd"), "HardSigmoid": ("alpha", "beta"),
             "Selu": ("alpha", "gamma")}.get(op, ("alpha",))  # fmt: skip
    attrs = {name: float(d.number(1, 8)) / 4 for name in names if d.chance(0.7)}
    dtype = np.float32 if op in ("Celu", "ThresholdedRelu") else d.one(FLOATS[:2])
    return Case(op, [d.array(dtype, d.shape())], attrs)


@case("Clip")
def clip(d: Draw, op: str) -> Case:
    dtype = d.one(NUMBERS)
    low, high = (np.array(value, dtype) for value in (1, 5))
    return Case(op, [d.array(dtype, d.shape()), d.one([None, low]), d.one([None, high])])


@case("PRelu")
def prelu(d: Draw, op: str) -> Case:
    shape = d.shape()
    start = d.number(0, len(shape))
    slope = tuple(1 if d.chance(0.3) else n for n in shape[start:])
    dtype = d.one(FLOATS[:2])
    return Case(op, [d.array(dtype, shape), d.array(dtype, slope)])


@case("Add", "Sub", "Mul", "Div", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")
def arithmetic(d: Draw, op: str) -> Case:
    dtype = d.one(NUMBERS)
    a, b = (d.array(dtype, shape) for shape in d.broadcastable(2))
    if op == "Div" and np.dtype(dtype).kind != "f":
        b = np.where(b == 0, 1, b).astype(dtype)
    return Case(op, [a, b])


@case("Min", "Max", "Sum", "Mean")
def variadic(d: Draw, op: str) -> Case:
    dtype = d.one(FLOATS[:2] if op in ("Sum", "Mean") else NUMBERS)
    return Case(op, [d.array(dtype, shape) for shape in d.broadcastable(d.number(1, 4))])


@case("And", "Or", "Xor")
def logic(d: Draw, op: str) -> Case:
    return Case(op, [d.array(np.bool_, shape) for shape in d.broadcastable(2)])


@case("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def bitwise(d: Draw, op: str) -> Case:
    dtype = d.one(INTEGERS)
    return Case(op, [d.array(dtype, shape) for shape in d.broadcastable(2)])


@case("BitShift")
def bit_shift(d: Draw, op: str) -> Case:
    dtype = d.one([np.uint8, np.uint16, np.uint32, np.uint64])
    a, b = (d.array(dtype, shape) for shape in d.broadcastable(2))
    return Case(op, [a, b % 8], {"direction": d.one(["LEFT", "RIGHT"])})


@case("Mod")
def mod(d: Draw, op: str) -> Case:
    fmod = d.number(0, 1)
    dtype = d.one(NUMBERS if fmod else INTEGERS)
    a, b = (d.array(dtype, shape) for shape in d.broadcastable(2))
    return Case(op, [a, np.where(b == 0, 3, b).astype(dtype)], {"fmod": fmod})


@case("Pow")
def power(d: Draw, op: str) -> Case:
    a, b = d.broadcastable(2)
    base = np.abs(d.array(np.float32, a, 1.0)) + np.float32(0.5)
    kind = d.one([np.float32, np.int32, np.int64])
    return Case(op, [base, d.array(kind, b, 1.0)])


@case("Where")
def where(d: Draw, op: str) -> Case:
    c, a, b = d.broadcastable(3)
    dtype = d.one((*NUMBERS, np.bool_))
    return Case(op, [d.array(np.bool_, c), d.array(dtype, a), d.array(dtype, b)])


@case("Not")
def invert(d: Draw, op: str) -> Case:
    return Case(op, [d.array(np.bool_, d.shape())])


@case("BitwiseNot")
def bitwise_not(d: Draw, op: str) -> Case:
    return Case(op, [d.array(d.one(INTEGERS), d.shape())])


@case("Cast")
def cast(d: Draw, op: str) -> Case:
    from onnx import helper

    to = np.dtype(d.one((*NUMBERS, np.bool_)))
    x = d.array(d.one((*NUMBERS, np.bool_)), d.shape())
    if to.kind == "u" and x.dtype.kind == "f":
        x = np.abs(x)
    return Case(op, [x], {"to": helper.np_dtype_to_tensor_dtype(to)})


# --- reductions and scans


@case("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
      "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")  # fmt: skip
def reduction(d: Draw, op: str) -> Case:
    least = 1 if op in ("ReduceMean", "ReduceMax", "ReduceMin") else 0
    shape = d.shape(least=least)
    dtypes = (
        (*FLOATS[:2], np.int32, np.int64) if "Log" not in op and op != "ReduceL2" else FLOATS[:2]
    )
    x = d.array(d.one(dtypes), shape, 1.0)
    if "Log" in op:
        x = np.abs(x) + x.dtype.type(0.1)
    axes = None if d.chance(0.2) else np.array(d.axes(len(shape)), np.int64)
    attrs = {"keepdims": d.number(0, 1)}
    if d.chance(0.3):
        attrs["noop_with_empty_axes"] = d.number(0, 1)
    return Case(op, [x, axes], attrs, terms=max(1, x.size))


@case("ArgMax", "ArgMin")
def arg_extreme(d: Draw, op: str) -> Case:
    shape = d.shape(1, least=1)
    attrs = {"axis": d.axis(len(shape)), "keepdims": d.number(0, 1),
             "select_last_index": d.number(0, 1)}  # fmt: skip
    return Case(
        op, [d.array(d.one([np.float32, np.float64, np.int32, np.int8, np.uint8]), shape)], attrs
    )


@case("CumSum", "CumProd")
def scan(d: Draw, op: str) -> Case:
    shape = d.shape(1)
    attrs = {"exclusive": d.number(0, 1), "reverse": d.number(0, 1)}
    axis = np.array(d.axis(len(shape)), d.one([np.int32, np.int64]))
    x = d.array(d.one([np.float32, np.float64, np.int32, np.int64]), shape, 1.0)
    return Case(op, [x, axis], attrs, terms=max(1, x.size))


@case("Softmax", "LogSoftmax", "Hardmax")
def softmax(d: Draw, op: str) -> Case:
    shape = d.shape(1)
    return Case(op, [d.array(d.one(FLOATS[:2]), shape)], {"axis": d.axis(len(shape))})


@case("TopK")
def top_k(d: Draw, op: str) -> Case:
    shape = d.shape(1)
    axis = d.axis(len(shape))
    k = d.number(0, shape[axis])
    x = d.array(d.one([np.float32, np.float64, np.int32, np.int64]), shape)
    if x.dtype.kind == "f" and x.size:  # no ties: their order is not fixed where sorted=0
        x = d.rng.permutation(x.size).astype(x.dtype).reshape(shape)
    return Case(op, [x, d.integers(k)], {"axis": axis, "largest": d.number(0, 1)}, outputs=2)


# --- shapes and movement


@case("Transpose")
def transpose(d: Draw, op: str) -> Case:
    shape = d.shape(0, 5)
    attrs = {} if d.chance(0.2) else {"perm": [int(i) for i in d.rng.permutation(len(shape))]}
    return Case(op, [d.array(d.one((*NUMBERS, np.bool_)), shape)], attrs)


@case("Concat")
def concat(d: Draw, op: str) -> Case:
    shape = list(d.shape(1))
    axis = d.axis(len(shape))
    dtype = d.one((*NUMBERS, np.bool_))
    parts = []
    for _ in range(d.number(1, 4)):
        shape[axis] = d.size()
        parts.append(d.array(dtype, tuple(shape)))
    return Case(op, parts, {"axis": axis})


@case("Split")
def split(d: Draw, op: str) -> Case:
    shape = list(d.shape(1))
    axis = d.axis(len(shape))
    if d.chance(0.5):
        sizes = [d.size() for _ in range(d.number(1, 4))]
        shape[axis] = sum(sizes)
        x = d.array(d.one(NUMBERS), tuple(shape))
        return Case(op, [x, np.array(sizes, np.int64)], {"axis": axis}, outputs=len(sizes))
    count = d.number(1, 4)
    shape[axis] = max(shape[axis], count)
    while -(-shape[axis] // count) * (count - 1) >= shape[axis] and count > 1:
        shape[axis] += 1
    x = d.array(d.one(NUMBERS), tuple(shape))
    return Case(op, [x], {"axis": axis, "num_outputs": count}, outputs=count)


@case("Slice")
def slices(d: Draw, op: str) -> Case:
    shape = d.shape(1, least=1)
    axes = d.axes(len(shape), 1)
    starts = [d.number(-shape[a] - 2, shape[a] + 2) for a in axes]
    ends = [d.number(-shape[a] - 2, shape[a] + 2) for a in axes]
    steps = [d.one([-3, -2, -1, 1, 1, 1, 2, 3]) for _ in axes]
    kind = d.one([np.int32, np.int64])
    lists = [np.array(v, kind) for v in (starts, ends, axes, steps)]
    return Case(op, [d.array(d.one((*NUMBERS, np.bool_)), shape), *lists])


@case("Pad")
def pad(d: Draw, op: str) -> Case:
    mode = d.one(["constant", "reflect", "edge", "wrap"])
    shape = d.shape(1, least=0 if mode == "constant" else 2)
    axes = d.axes(len(shape), 1)
    low = [-min(1, shape[a] // 2) if mode == "constant" else 0 for a in axes]
    most = [3 if mode == "constant" else shape[a] - 1 for a in axes]
    pads = [d.number(lo, hi) for lo, hi in zip(low * 2, most * 2, strict=True)]
    dtype = d.one([np.float32, np.float64, np.int32, np.int64, np.uint8, np.int8])
    value = np.array(3, dtype) if mode == "constant" and d.chance(0.6) else None
    return Case(op, [d.array(dtype, shape), np.array(pads, np.int64), value,
                     np.array(axes, np.int64)], {"mode": mode})  # fmt: skip


@case("Tile")
def tile(d: Draw, op: str) -> Case:
    shape = d.shape(1)
    repeats = np.array([d.number(0, 3) for _ in shape], np.int64)
    return Case(op, [d.array(d.one(NUMBERS), shape), repeats])


@case("Expand")
def expand(d: Draw, op: str) -> Case:
    a, b = d.broadcastable(2)
    return Case(op, [d.array(d.one((*NUMBERS, np.bool_)), a), np.array(b, np.int64)])


@case("Reshape")
def reshape(d: Draw, op: str) -> Case:
    shape = d.shape(0, 4, least=1)
    x = d.array(d.one(NUMBERS), shape)
    target = [int(n) for n in d.rng.permutation(np.array([*shape, 1]))]
    if d.chance(0.5):
        target[d.number(0, len(target) - 1)] = -1
    return Case(op, [x, np.array(target, np.int64)])


@case("Squeeze", "Unsqueeze")
def squeeze(d: Draw, op: str) -> Case:
    if op == "Squeeze":
        shape = tuple(1 if d.chance(0.5) else d.size() for _ in range(d.number(0, 5)))
        axes = [i - len(shape) if d.chance(0.3) else i for i, n in enumerate(shape) if n == 1]
        given = None if d.chance(0.3) else np.array(axes[: d.number(0, len(axes))], np.int64)
        if given is not None and not given.size:
            given = None
        return Case(op, [d.array(np.float32, shape), given])
    shape = d.shape(0, 3)
    added = d.number(1, 2)
    axes = [int(a) for a in d.rng.permutation(len(shape) + added)[:added]]
    return Case(op, [d.array(np.float32, shape), np.array(axes, np.int64)])


@case("Flatten")
def flatten(d: Draw, op: str) -> Case:
    shape = d.shape(1)
    return Case(op, [d.array(np.float32, shape)], {"axis": d.number(-len(shape), len(shape))})


@case("Shape")
def shape_of(d: Draw, op: str) -> Case:
    shape = d.shape(0, 5)
    attrs = {name: d.number(-6, 6) for name in ("start", "end") if d.chance(0.6)}
    return Case(op, [d.array(np.float32, shape)], attrs)


@case("Size")
def size_of(d: Draw, op: str) -> Case:
    return Case(op, [d.array(np.float32, d.shape())])


@case("Gather")
def gather(d: Draw, op: str) -> Case:
    shape = d.shape(1, least=1)
    axis = d.axis(len(shape))
    n = shape[axis]
    indices = d.rng.integers(-n, n, d.shape(0, 3)).astype(d.one([np.int32, np.int64]))
    return Case(
        op, [d.array(d.one((*NUMBERS, np.bool_)), shape), np.asarray(indices)], {"axis": axis}
    )


@case("GatherElements", "ScatterElements")
def by_elements(d: Draw, op: str) -> Case:
    shape = d.shape(1, least=1)
    axis = d.axis(len(shape))
    part = tuple(d.number(1, n) for n in shape)
    n = shape[axis]
    kind = d.one([np.int32, np.int64])
    if op == "GatherElements":
        indices = d.rng.integers(-n, n, part).astype(kind)
        return Case(op, [d.array(d.one(NUMBERS), shape), indices], {"axis": axis})
    order = np.argsort(d.rng.random((*part[:0], *shape)), axis=axis)  # no index twice
    order = order[tuple(slice(0, p) for p in part)]
    x = d.array(np.float32, shape)
    reduce = d.one(["none", "add", "mul", "max", "min"])
    return Case(op, [x, order.astype(kind), d.array(np.float32, part)],
                {"axis": axis, "reduction": reduce})  # fmt: skip


@case("GatherND")
def gather_nd(d: Draw, op: str) -> Case:
    shape = d.shape(1, 4, least=1)
    batch = d.number(0, min(len(shape) - 1, 2))
    last = d.number(1, len(shape) - batch)
    middle = d.shape(0, 2)
    columns = [
        d.rng.integers(-n, n, (*shape[:batch], *middle)) for n in shape[batch : batch + last]
    ]
    indices = np.stack(columns, -1).astype(np.int64)
    return Case(op, [d.array(d.one(NUMBERS), shape), indices], {"batch_dims": batch})


@case("ScatterND")
def scatter_nd(d: Draw, op: str) -> Case:
    shape = d.shape(1, 4, least=1)
    last = d.number(1, len(shape))
    places = int(np.prod(shape[:last]))
    count = d.number(0, places)
    flat = d.rng.permutation(places)[:count]
    indices = np.stack(np.unravel_index(flat, shape[:last]), -1).astype(np.int64)
    updates = d.array(np.float32, (count, *shape[last:]))
    reduction = d.one(["none", "add", "mul", "max", "min"])
    return Case(op, [d.array(np.float32, shape), indices, updates], {"reduction": reduction})


@case("OneHot")
def one_hot(d: Draw, op: str) -> Case:
    depth = d.number(1, 6)
    shape = d.shape(0, 3)
    indices = np.asarray(d.rng.integers(-depth - 2, depth + 2, shape)).astype(np.int64)
    values = d.array(d.one([np.float32, np.int64]), (2,))
    return Case(
        op, [indices, d.integers(depth), values], {"axis": d.number(-len(shape) - 1, len(shape))}
    )


@case("Compress")
def compress(d: Draw, op: str) -> Case:
    shape = d.shape(1, least=1)
    if d.chance(0.3):
        return Case(
            op, [d.array(np.float32, shape), d.array(np.bool_, (d.number(1, int(np.prod(shape))),))]
        )
    axis = d.axis(len(shape))
    condition = d.array(np.bool_, (d.number(1, shape[axis]),))
    return Case(op, [d.array(np.float32, shape), condition], {"axis": axis})


@case("NonZero")
def non_zero(d: Draw, op: str) -> Case:
    x = d.array(d.one([np.float32, np.int32, np.int64, np.bool_]), d.shape(1))
    return Case(op, [x])


@case("Unique")
def unique(d: Draw, op: str) -> Case:
    shape = d.shape(1, 3, least=1)
    attrs = {"sorted": d.number(0, 1)} | ({"axis": d.axis(len(shape))} if d.chance(0.5) else {})
    return Case(op, [d.array(d.one([np.float32, np.int64]), shape).round()], attrs, outputs=4)


@case("Trilu")
def trilu(d: Draw, op: str) -> Case:
    k = np.array(d.number(-6, 6), np.int64) if d.chance(0.7) else None
    x = d.array(d.one([np.float32, np.float64, np.int64, np.bool_]), d.shape(2, 4))
    return Case(op, [x, k], {"upper": d.number(0, 1)})


@case("Range")
def range_of(d: Draw, op: str) -> Case:
    dtype = d.one([np.float32, np.float64, np.int32, np.int64, np.int16])
    delta = d.one([-3, -2, -1, 1, 2, 3])
    return Case(
        op,
        [
            np.array(d.number(-9, 9), dtype),
            np.array(d.number(-9, 9), dtype),
            np.array(delta, dtype),
        ],
    )


@case("ReverseSequence")
def reverse_sequence(d: Draw, op: str) -> Case:
    shape = d.shape(2, 4, least=1)
    batch = d.number(0, 1)
    lengths = d.rng.integers(1, shape[1 - batch] + 1, shape[batch]).astype(np.int64)
    return Case(
        op, [d.array(np.float32, shape), lengths], {"batch_axis": batch, "time_axis": 1 - batch}
    )


@case("DepthToSpace", "SpaceToDepth")
def blocks(d: Draw, op: str) -> Case:
    n, c, h, w, block = d.size(), d.size(1), d.size(), d.size(), d.number(1, 3)
    attrs: dict[str, Any] = {"blocksize": block}
    if op == "DepthToSpace":
        attrs["mode"] = d.one(["DCR", "CRD"])
        return Case(op, [d.array(np.float32, (n, c * block * block, h, w))], attrs)
    return Case(op, [d.array(np.float32, (n, c, h * block, w * block))], attrs)


@case("EyeLike")
def eye_like(d: Draw, op: str) -> Case:
    return Case(op, [d.array(np.float32, (d.size(), d.size()))], {"k": d.number(-5, 5)})


@case("CenterCropPad")
def center_crop_pad(d: Draw, op: str) -> Case:
    shape = d.shape(1, 3, least=1)
    axes = sorted({a % len(shape) for a in d.axes(len(shape), 1)})
    target = np.array([d.number(1, 9) for _ in axes], np.int64)
    return Case(op, [d.array(np.float32, shape), target], {"axes": axes})


# --- products


@case("MatMul")
def matmul(d: Draw, op: str) -> Case:
    batch_a, batch_b = d.broadcastable(2, 2)
    m, k, n = d.size(), d.size(), d.size()
    a = (k,) if d.chance(0.15) else (*batch_a, m, k)
    b = (k,) if d.chance(0.15) else (*batch_b, k, n)
    dtype = d.one([np.float32, np.float64, np.int32, np.int64, np.uint32])
    return Case(op, [d.array(dtype, a), d.array(dtype, b)], terms=max(1, k))


@case("Gemm")
def gemm(d: Draw, op: str) -> Case:
    m, k, n = d.size(), d.size(), d.size()
    ta, tb = d.number(0, 1), d.number(0, 1)
    c = d.one([None, (n,), (m, n), (1, n), (m, 1), (1,), ()])
    dtype = d.one(FLOATS[:2])
    attrs = {"transA": ta, "transB": tb, "alpha": d.one([1.0, 0.5]), "beta": d.one([1.0, 0.0, 2.0])}
    inputs = [d.array(dtype, (k, m) if ta else (m, k)), d.array(dtype, (n, k) if tb else (k, n))]
    return Case(op, [*inputs, None if c is None else d.array(dtype, c)], attrs, terms=max(1, k))


@case("Einsum")
def einsum(d: Draw, op: str) -> Case:
    sizes = {letter: d.size(1) for letter in "abcde"}
    equation = d.one(["ab,bc->ac", "abc,acd->abd", "abc->cb", "ab,ab->a", "ab,cd->abcd", "abc,bd->",
                      "ab,b", "abcd,abed->abce", "ab->ba",
                      "ab->b", "a,b,c->abc", "abc,cd,de->abe"])  # fmt: skip
    terms = equation.split("->")[0].split(",")
    inputs = [d.array(np.float32, tuple(sizes[x] for x in term)) for term in terms]
    return Case(op, inputs, {"equation": equation}, terms=300)


@case("MatMulInteger")
def matmul_integer(d: Draw, op: str) -> Case:
    m, k, n = d.size(), d.size(), d.size()
    ta, tb = d.one([np.int8, np.uint8]), d.one([np.int8, np.uint8])
    zero_a = d.one([None, d.array(ta, ())])
    zero_b = d.one([None, d.array(tb, ()), d.array(tb, (n,))])
    return Case(op, [d.array(ta, (m, k)), d.array(tb, (k, n)), zero_a, zero_b])


def windows(d: Draw, rank: int, sizes: list[int]) -> dict[str, Any]:
    """Kernel, strides, dilations and pads whose windows fit into images of `sizes`."""
    kernel, dilations, pads = [], [], [[], []]
    for size in sizes:
        dilation = d.number(1, 2)
        k = d.number(1, 3)
        while (k - 1) * dilation + 1 > size:
            k, dilation = max(1, k - 1), 1
        kernel.append(k)
        dilations.append(dilation)
        for side in pads:
            side.append(d.number(0, k - 1))
    attrs: dict[str, Any] = {"kernel_shape": kernel, "strides": [d.number(1, 3) for _ in sizes]}
    if d.chance(0.5):
        attrs["dilations"] = dilations
    attrs["pads"] = pads[0] + pads[1]
    return attrs


@case("Conv", "ConvTranspose")
def convolution(d: Draw, op: str) -> Case:
    rank, group = d.number(1, 3), d.number(1, 3)
    sizes = [d.number(1, 9) for _ in range(rank)]
    channels, maps = group * d.number(1, 4), group * d.number(1, 4)
    attrs = windows(d, rank, sizes)
    kernel = attrs["kernel_shape"]
    if op == "Conv":
        weights = (maps, channels // group, *kernel)
    else:
        attrs["pads"] = [0] * (2 * rank)
        weights = (channels, maps // group, *kernel)
        if d.chance(0.4):
            attrs["output_padding"] = [d.number(0, s - 1) for s in attrs["strides"]]
    attrs["group"] = group
    dtype = np.float32
    bias = d.array(dtype, (maps,)) if d.chance(0.5) else None
    x = d.array(dtype, (d.number(1, 2), channels, *sizes))
    terms = channels * int(np.prod(kernel))
    return Case(op, [x, d.array(dtype, weights), bias], attrs, terms=terms)


@case("MaxPool", "AveragePool", "LpPool")
def pooling(d: Draw, op: str) -> Case:
    rank = d.number(1, 3)
    sizes = [d.number(1, 9) for _ in range(rank)]
    attrs = windows(d, rank, sizes)
    attrs["ceil_mode"] = d.number(0, 1)
    if op == "AveragePool":
        attrs["count_include_pad"] = d.number(0, 1)
    if op == "LpPool":
        attrs["p"] = d.number(1, 3)
    x = d.array(np.float32, (d.number(1, 2), d.number(1, 3), *sizes))
    return Case(op, [x], attrs, terms=30)


@case("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pooling(d: Draw, op: str) -> Case:
    shape = d.shape(3, 5, least=1)
    return Case(
        op, [d.array(np.float32, shape)], {"p": d.number(1, 3)} if "Lp" in op else {}, terms=200
    )


@case("Resize")
def resize(d: Draw, op: str) -> Case:
    rank = d.number(1, 2)
    shape = (d.number(1, 2), d.number(1, 3), *(d.number(1, 8) for _ in range(rank)))
    mode = d.one(["nearest", "linear"] + (["cubic"] if rank == 2 else []))
    transform = d.one(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
    attrs: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": transform}
    if mode == "nearest":
        attrs["nearest_mode"] = d.one(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    sizes = np.array([*shape[:2], *(d.number(1, 12) for _ in range(rank))], np.int64)
    return Case(op, [d.array(np.float32, shape), None, None, sizes], attrs)


@case("GridSample")
def grid_sample(d: Draw, op: str) -> Case:
    n, c = d.number(1, 2), d.number(1, 3)
    x = d.array(np.float32, (n, c, d.number(1, 6), d.number(1, 6)))
    grid = d.array(np.float32, (n, d.size(), d.size(), 2), 0.7)
    attrs = {"mode": d.one(["linear", "nearest", "cubic"]), "align_corners": d.number(0, 1),
             "padding_mode": d.one(["zeros", "border", "reflection"])}  # fmt: skip
    return Case(op, [x, grid], attrs, terms=16)


# --- normalisation and others


@case("LayerNormalization", "RMSNormalization")
def layer_norm(d: Draw, op: str) -> Case:
    shape = d.shape(1, 4, least=1)
    axis = d.axis(len(shape))
    inner = shape[axis:]
    inputs = [d.array(np.float32, shape), d.array(np.float32, inner)]
    if op == "LayerNormalization" and d.chance(0.6):
        inputs.append(d.array(np.float32, inner))
    return Case(op, inputs, {"axis": axis}, terms=max(1, int(np.prod(inner))))


@case("InstanceNormalization", "BatchNormalization")
def channel_norm(d: Draw, op: str) -> Case:
    shape = d.shape(3, 4, least=1)
    c = shape[1]
    inputs = [d.array(np.float32, shape), d.array(np.float32, (c,)), d.array(np.float32, (c,))]
    if op == "BatchNormalization":
        inputs += [d.array(np.float32, (c,)), np.abs(d.array(np.float32, (c,)))]
    return Case(op, inputs, terms=int(np.prod(shape)))


@case("GroupNormalization")
def group_norm(d: Draw, op: str) -> Case:
    groups = d.number(1, 3)
    c = groups * d.number(1, 3)
    shape = (d.number(1, 2), c, *d.shape(1, 2, least=1))
    x = d.array(np.float32, shape)
    return Case(
        op,
        [x, d.array(np.float32, (c,)), d.array(np.float32, (c,))],
        {"num_groups": groups},
        terms=200,
    )


@case("LpNormalization")
def lp_norm(d: Draw, op: str) -> Case:
    shape = d.shape(1, least=1)
    return Case(
        op,
        [d.array(d.one(FLOATS[:2]), shape)],
        {"axis": d.axis(len(shape)), "p": d.number(1, 2)},
        terms=17,
    )


@case("LRN")
def lrn(d: Draw, op: str) -> Case:
    return Case(
        op, [d.array(np.float32, d.shape(4, 4, least=1))], {"size": d.one([1, 3, 5])}, terms=5
    )


@case("QuantizeLinear")
def quantize(d: Draw, op: str) -> Case:
    shape = d.shape(1, 3, least=1)
    axis = d.axis(len(shape))
    kind = d.one([np.int8, np.uint8, np.int16, np.uint16])
    many = d.chance(0.5)
    size = (shape[axis],) if many else ()
    scale = np.abs(d.array(np.float32, size, 1.0)) + np.float32(0.1)
    zero = d.array(kind, size) if d.chance(0.8) or kind != np.uint8 else None
    return Case(op, [d.array(np.float32, shape, 20.0), scale, zero], {"axis": axis})


@case("DequantizeLinear")
def dequantize(d: Draw, op: str) -> Case:
    shape = d.shape(1, 3, least=1)
    axis = d.axis(len(shape))
    kind = d.one([np.int8, np.uint8, np.int16, np.uint16, np.int32])
    size = (shape[axis],) if d.chance(0.5) else ()
    zero = d.array(kind, size) if d.chance(0.7) and kind != np.int32 else None
    return Case(op, [d.array(kind, shape), d.array(np.float32, size), zero], {"axis": axis})


@case("DynamicQuantizeLinear")
def dynamic_quantize(d: Draw, op: str) -> Case:
    return Case(op, [d.array(np.float32, d.shape(0, 3, least=1))], outputs=3)


@case("Det")
def determinant(d: Draw, op: str) -> Case:
    n = d.number(1, 5)
    return Case(op, [d.array(d.one(FLOATS[:2]), (*d.shape(0, 2), n, n))], terms=100)


@case("Col2Im")
def col2im(d: Draw, op: str) -> Case:
    image = [d.number(3, 6), d.number(3, 6)]
    block = [d.number(1, 3), d.number(1, 3)]
    strides = [d.number(1, 2), d.number(1, 2)]
    columns = int(
        np.prod([(i - b) // s + 1 for i, b, s in zip(image, block, strides, strict=True)])
    )
    x = d.array(np.float32, (d.number(1, 2), d.number(1, 3) * int(np.prod(block)), columns))
    lists = [np.array(v, np.int64) for v in (image, block)]
    return Case(op, [x, *lists], {"strides": strides}, terms=9)


@case("LSTM", "GRU", "RNN")
def recurrent(d: Draw, op: str) -> Case:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    steps, batch, inputs, hidden = (d.number(1, 5) for _ in range(4))
    direction = d.one(["forward", "reverse", "bidirectional"])
    k = 2 if direction == "bidirectional" else 1
    x = d.array(np.float32, (steps, batch, inputs), 1.0)
    w = d.array(np.float32, (k, gates * hidden, inputs), 0.5)
    r = d.array(np.float32, (k, gates * hidden, hidden), 0.5)
    bias = d.array(np.float32, (k, 2 * gates * hidden), 0.5) if d.chance(0.6) else None
    lengths = d.rng.integers(1, steps + 1, batch).astype(np.int32) if d.chance(0.4) else None
    first = d.array(np.float32, (k, batch, hidden), 0.5) if d.chance(0.5) else None
    attrs: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    values = [x, w, r, bias, lengths, first]
    if op == "LSTM":
        values.append(d.array(np.float32, (k, batch, hidden), 0.5) if d.chance(0.5) else None)
        values.append(d.array(np.float32, (k, 3 * hidden), 0.5) if d.chance(0.3) else None)
    if op == "GRU":
        attrs["linear_before_reset"] = d.number(0, 1)
    return Case(op, values, attrs, outputs=3 if op == "LSTM" else 2, terms=100)

"""Random graphs in the idioms of exporters: images, sequences, and what surrounds them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from maker import Maker
from onnx import TensorProto, helper

Block = Callable[[Maker, str], str]


# --- activations and norms as exporters spell them


def gelu(m: Maker, x: str) -> str:
    erf = m.op("Erf", m.op("Div", x, m.constant(np.sqrt(2))))
    bracket = m.add(erf, m.constant(1))
    if m.chance(0.5):
        return m.mul(m.mul(x, bracket), m.constant(0.5))
    return m.mul(m.mul(x, m.constant(0.5)), bracket)


def tanh_gelu(m: Maker, x: str) -> str:
    cube = m.op("Pow", x, m.constant(3)) if m.chance(0.5) else m.mul(m.op("Mul", x, x), x)
    inner = m.add(x, m.mul(cube, m.constant(0.044715)))
    tanh = m.op("Tanh", m.mul(inner, m.constant(np.sqrt(2 / np.pi))))
    return m.mul(m.mul(x, m.constant(0.5)), m.add(tanh, m.constant(1)))


def silu(m: Maker, x: str) -> str:
    return m.mul(x, m.op("Sigmoid", x))


def hard_swish(m: Maker, x: str) -> str:
    return m.mul(x, m.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def clip(m: Maker, x: str) -> str:
    return m.clip(x, *m.one((0.0, 6.0), (-0.5, 0.5), (-1.0, 3.0)))


def simple(m: Maker, x: str) -> str:
    return m.op(m.one("Relu", "Tanh", "Sigmoid", "Softplus", "Elu", "Neg"), x)


def leaky(m: Maker, x: str) -> str:
    return m.op("LeakyRelu", x, alpha=0.2)


def activation(m: Maker, x: str) -> str:
    return m.one(gelu, tanh_gelu, silu, hard_swish, clip, simple, leaky)(m, x)


def layer_norm(m: Maker, x: str) -> str:
    """Over the last axis; sometimes by its root mean square alone."""
    size, last = m.shape[x][-1], m.one(-1, len(m.shape[x]) - 1)
    centred = x
    if m.chance(0.7):
        centred = m.op("Sub", x, m.reduce("ReduceMean", x, (last,)))
    square = m.op("Mul", centred, centred)
    if m.chance(0.5):
        square = m.op("Pow", centred, m.constant(2))
    m.terms += size
    deviation = m.op("Sqrt", m.add(m.reduce("ReduceMean", square, (last,)), m.constant(1e-3)))
    if m.chance(0.6):
        y = m.binary("Div", centred, deviation)
    else:
        y = m.mul(centred, m.op("Reciprocal", deviation))
    y = m.mul(y, m.constant(m.randn(size)))
    return m.add(y, m.constant(m.randn(size))) if m.chance(0.7) else y


# --- blocks of any rank


def elementwise(m: Maker, x: str) -> str:
    """With a constant that broadcasts, or a comparison."""
    shape = m.shape[x]
    own = [n if m.chance(0.5) else 1 for n in shape][m.number(0, len(shape) + 1) :]
    operand = m.constant(m.randn(*own))
    kind = m.one("Add", "Sub", "Mul", "Max", "Min", "Where", "Div")
    if kind == "Where":
        return m.op("Where", m.op("Greater", x, operand), x, operand)
    if kind == "Div":
        operand = m.constant(np.abs(m.randn(*own)) + np.float32(0.5))
    if kind in ("Max", "Min") and m.opset < 8:
        return x
    return m.binary(kind, x, operand)


def twice(m: Maker, x: str) -> str:
    """The same thing computed twice."""
    kind = m.one("Tanh", "Sigmoid", "Abs")
    return m.add(m.op(kind, x), m.op(kind, x))


def idle(m: Maker, x: str) -> str:
    return m.op(m.one("Identity", "Dropout"), x)


def normalised(m: Maker, x: str) -> str:
    axis = m.number(1, len(m.shape[x]))
    m.terms += int(np.prod(m.shape[x][axis:]))
    return m.op("Softmax", x, axis=m.one(axis, -1))


def centred(m: Maker, x: str) -> str:
    axes = tuple(int(i) for i in range(1, len(m.shape[x])) if m.chance(0.6)) or (1,)
    kind = m.one("ReduceMean", "ReduceMax", "ReduceMin")
    return m.binary("Sub", x, m.reduce(kind, x, axes))


def halves(m: Maker, x: str) -> str:
    """Split, gate, and put together again."""
    axis = m.number(1, len(m.shape[x]))
    if m.shape[x][axis] % 2:
        return x
    a, b = m.split(x, axis)
    gated = m.mul(a, m.op("Sigmoid", b))
    return m.op("Concat", gated, m.one(a, b), axis=axis, shape=m.shape[x])


def trimmed(m: Maker, x: str) -> str:
    """Padded and cut back."""
    rank, axis = len(m.shape[x]), m.number(1, len(m.shape[x]))
    pads = [0] * (2 * rank)
    pads[axis], pads[rank + axis] = m.number(0, 3), m.number(0, 3)
    size, wide = m.shape[x][axis], m.pad(x, pads)
    start = m.number(0, pads[axis] + pads[rank + axis] + 1)
    return m.slice(wide, axis, start, start + size)


def branch(m: Maker, x: str) -> str:
    """One of two branches that capture x and a constant."""
    if m.opset < 13:
        return x
    if "flag" not in m.shape:
        m.input("flag", np.array(m.chance(0.5)))
    weight, name = m.constant(m.randn(m.shape[x][-1])), f"v{len(m.shape)}"
    graphs = {}
    for attribute, kind in (("then_branch", "Mul"), ("else_branch", "Add")):
        inner, out = f"{name}_{attribute}_inner", f"{name}_{attribute}"
        nodes = [
            helper.make_node(kind, [x, weight], [inner]),
            helper.make_node("Relu", [inner], [out]),
        ]
        result = helper.make_tensor_value_info(out, TensorProto.FLOAT, None)
        graphs[attribute] = helper.make_graph(nodes, attribute, [], [result])
    return m.op("If", "flag", shape=m.shape[x], **graphs)


ANY: list[Block] = [
    elementwise,
    twice,
    idle,
    normalised,
    centred,
    halves,
    trimmed,
    branch,
    activation,
]


def residual(m: Maker, x: str, f: Block) -> str:
    y = f(m, x)
    return m.add(y, x) if m.shape[y] == m.shape[x] else y


# --- images [n, c, h, w]


def convolution(m: Maker, x: str, outputs: int | None = None, keep: bool = False) -> str:
    n, c, h, w = m.shape[x]
    kernel = m.one(1, 3, 3, 5) if min(h, w) >= 5 else m.one(1, 3)
    stride = 1 if keep or min(h, w) < 4 else m.one(1, 1, 2)
    group = m.one(1, 1, c, 2 if c % 2 == 0 else 1)
    outputs = outputs or (c * m.one(1, 2) if group == c else group * m.number(1, 12))
    if outputs % group:
        group = 1
    attrs: dict = {"group": group, "strides": [stride, stride]}
    dilation = 2 if kernel == 3 and min(h, w) > 6 and m.chance(0.2) else 1
    attrs["dilations"] = [dilation, dilation]
    pad = dilation * (kernel - 1) // 2
    if stride == 1 and dilation == 1 and m.chance(0.2):
        attrs["auto_pad"] = "SAME_UPPER"
    else:
        attrs["pads"] = [pad] * 4
    reach = dilation * (kernel - 1) + 1
    size = [(s + 2 * pad - reach) // stride + 1 for s in (h, w)]
    fan = c // group * kernel * kernel
    m.terms += fan
    inputs = [x, m.constant(m.randn(outputs, c // group, kernel, kernel, scale=fan**-0.5))]
    if m.chance(0.6):
        inputs.append(m.constant(m.randn(outputs)))
    y = m.op("Conv", *inputs, shape=(n, outputs, *size), **attrs)
    if m.chance(0.4):
        lists = [
            m.randn(outputs),
            m.randn(outputs),
            m.randn(outputs),
            np.abs(m.randn(outputs)) + 0.5,
        ]
        y = m.op("BatchNormalization", y, *[m.constant(each) for each in lists], epsilon=1e-3)
    return activation(m, y) if m.chance(0.6) else y


def residual_convolution(m: Maker, x: str) -> str:
    y = m.add(convolution(m, x, m.shape[x][1], keep=True), x)
    return m.op("Relu", y) if m.chance(0.6) else y


def pool(m: Maker, x: str) -> str:
    n, c, h, w = m.shape[x]
    if min(h, w) < 4:
        return x
    kernel, stride = m.one((2, 2), (3, 1), (3, 2))
    pad = 1 if kernel == 3 else 0
    attrs: dict = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
    kind = m.one("MaxPool", "AveragePool")
    if kind == "AveragePool" and m.chance(0.5):
        attrs["count_include_pad"] = 1
    size = [(s + 2 * pad - kernel) // stride + 1 for s in (h, w)]
    return m.op(kind, x, shape=(n, c, *size), **attrs)


def gate(m: Maker, x: str) -> str:
    n, c, _, _ = m.shape[x]
    kind = m.one("GlobalAveragePool", "GlobalMaxPool", "mean")
    mean = (
        m.reduce("ReduceMean", x, (2, 3)) if kind == "mean" else m.op(kind, x, shape=(n, c, 1, 1))
    )
    squeezed = m.op("Conv", mean, m.constant(m.randn(3, c, 1, 1, scale=0.3)), shape=(n, 3, 1, 1))
    wide = m.op("Conv", m.op("Relu", squeezed), m.constant(m.randn(c, 3, 1, 1)), shape=(n, c, 1, 1))
    return m.mul(x, m.op(m.one("Sigmoid", "HardSigmoid"), wide))


def upsampled(m: Maker, x: str) -> str:
    return x if max(m.shape[x][2:]) > 12 else m.upsample(x, m.one("nearest", "linear"))


def beside(m: Maker, x: str) -> str:
    y = convolution(m, x, keep=True)
    shape = list(m.shape[x])
    shape[1] += m.shape[y][1]
    return m.op("Concat", x, y, axis=m.one(1, -3), shape=shape)


def by_channel(m: Maker, x: str) -> str:
    c = m.shape[x][1]
    constant = m.constant(m.randn(*m.one((c, 1, 1), (1, c, 1, 1))))
    if m.chance(0.5):
        return m.op("PRelu", x, constant)
    return m.binary(m.one("Add", "Mul", "Sub"), x, constant)


def convnext(m: Maker, x: str) -> str:
    """A norm over channels, turned to the end for it."""
    turned = layer_norm(m, m.transpose(x, 0, 2, 3, 1))
    return m.transpose(linear(m, turned), 0, 3, 1, 2)


def turned(m: Maker, x: str) -> str:
    n, c, h, w = m.shape[x]
    if h % 2 or w % 2 or c > 8:
        return x
    return m.op("SpaceToDepth", x, blocksize=2, shape=(n, 4 * c, h // 2, w // 2))


IMAGE: list[Block] = [
    convolution, convolution, residual_convolution, residual_convolution, pool, gate, upsampled,
    beside, by_channel, convnext, turned,
]  # fmt: skip


# --- sequences [batch, time, width]


def linear(m: Maker, x: str, width: int | None = None) -> str:
    size = m.shape[x][-1]
    width = width or size
    m.terms += size
    weight = m.constant(m.randn(size, width, scale=size**-0.5))
    y = m.op("MatMul", x, weight, shape=(*m.shape[x][:-1], width))
    return m.add(y, m.constant(m.randn(width))) if m.chance(0.8) else y


def feed_forward(m: Maker, x: str) -> str:
    size = m.shape[x][-1]
    y = linear(m, activation(m, linear(m, x, m.number(2, 40))), size)
    return m.add(x, y)


def gemm(m: Maker, x: str) -> str:
    shape, size, width = m.shape[x], m.shape[x][-1], m.number(1, 20)
    rows = int(np.prod(shape[:-1]))
    flat = m.op("Reshape", x, m.integers(-1, size), shape=(rows, size))
    transposed = m.number(0, 2)
    weight = m.randn(size, width, scale=size**-0.5)
    constants = [m.constant(weight.T.copy() if transposed else weight)]
    if m.opset < 11 or m.chance(0.7):
        constants.append(m.constant(m.randn(*m.one((width,), (1, width), (1,), (rows, width)))))
    attrs = {"alpha": m.one(1.0, 0.5), "beta": m.one(1.0, 2.0), "transB": transposed}
    y = activation(m, m.op("Gemm", flat, *constants, shape=(rows, width), **attrs))
    m.terms += size
    return (
        m.reshape(y, *shape[:-1], width)
        if m.chance(0.5)
        else m.op("Reshape", y, m.integers(*shape[:-1], width), shape=(*shape[:-1], width))
    )


def attention(m: Maker, x: str) -> str:
    batch, time, width = m.shape[x]
    heads = m.one(1, 2) if width % 2 == 0 else 1
    size = width // heads
    q, k, v = (m.reshape(linear(m, x), batch, time, heads, size) for _ in range(3))
    q, v = m.transpose(q, 0, 2, 1, 3), m.transpose(v, 0, 2, 1, 3)
    k = m.transpose(k, 0, 2, 3, 1)
    scores = m.op("MatMul", q, k, shape=(batch, heads, time, time))
    if m.chance(0.5):
        scores = m.op("Div", scores, m.constant(np.sqrt(size)))
    else:
        scores = m.mul(scores, m.constant(1 / np.sqrt(size)))
    if m.chance(0.6):
        mask = np.triu(np.full((time, time), -1e4, np.float32), 1)
        scores = m.add(scores, m.constant(mask.reshape(m.one((time, time), (1, 1, time, time)))))
    weights = m.op("Softmax", scores, axis=m.one(-1, 3))
    y = m.op("MatMul", weights, v, shape=(batch, heads, time, size))
    m.terms += size + 2 * time
    y = m.reshape(m.transpose(y, 0, 2, 1, 3), batch, time, width)
    return m.add(linear(m, y), x)


SEQUENCE: list[Block] = [
    linear,
    feed_forward,
    feed_forward,
    gemm,
    attention,
    attention,
    layer_norm,
    layer_norm,
]


def random_graph(seed: int, *, large: bool = False) -> Maker:
    m = Maker(seed)
    if m.chance(0.5):
        side = 40 if large else m.number(4, 11)
        array = m.randn(
            m.number(1, 3), 32 if large else m.number(1, 9), side, side + m.number(0, 3)
        )
        symbols = m.one({}, {0: "n"}, {0: "n", 2: "h", 3: "w"})
        blocks = IMAGE
    else:
        width = 128 if large else m.one(6, 8, 12, 15, 16)
        array = m.randn(m.number(1, 4), 64 if large else m.number(1, 9), width)
        symbols = m.one({}, {0: "batch"}, {0: "batch", 1: "time"})
        blocks = SEQUENCE
    values = [m.input("x", array, symbols)]
    for _ in range(m.number(3, 9)):
        block = m.one(*blocks) if m.chance(0.65) else m.one(*ANY)
        y = residual(m, values[-1], block) if m.chance(0.15) else block(m, values[-1])
        values.append(y)
    made = [name for name in m.shape if name.startswith("v") and not _is_integer(m, name)]
    extra = [str(m.one(*made))] if made and m.chance(0.4) else []
    m.outputs = list(dict.fromkeys([v for v in values[-1:] if v != "x"] + extra)) or [
        m.op("Relu", "x")
    ]
    return m


def _is_integer(m: Maker, name: str) -> bool:
    """Shape arithmetic and conditions: outputs are floats here."""
    node = next(n for n in m.nodes if name in n.output)
    if node.op_type in ("Shape", "Greater"):
        return True
    return node.op_type in ("Gather", "Concat") and len(m.shape[name]) == 1

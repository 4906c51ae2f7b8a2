"""PyTorch modules as ONNX files with recorded outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.recipe import Writer

Exporter = Literal["dynamo", "torchscript"]
Axes = Mapping[str, Mapping[int, str]]  # names of symbolic dimensions, by input and axis


def seeded(seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)


def settle_batch_norm(module: nn.Module, *shape: int, batches: int = 2) -> nn.Module:
    """Gives batch normalisation statistics of its own activations, so that they stay tame."""
    module.train()
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # averages over all batches
            nn.init.uniform_(layer.weight, 0.8, 1.2)
            nn.init.uniform_(layer.bias, -0.1, 0.1)
    with torch.no_grad():
        for _ in range(batches):
            module(torch.randn(*shape))
    return module.eval()


class Wrapped(nn.Module):
    """A module seen through a function, which chooses arguments and results."""

    def __init__(self, module: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.module = module
        self._call = call

    def forward(self, *args: Any) -> Any:
        return self._call(self.module, *args)


def field(module: nn.Module, name: str) -> nn.Module:
    """The module with one input, of whose named results only one is kept."""
    return Wrapped(module, lambda m, x: getattr(m(x), name)).eval()


def flat(results: Any) -> Iterator[Tensor]:
    if isinstance(results, Tensor):
        yield results
    else:
        for part in results:
            yield from flat(part)


def export(
    writer: Writer,
    module: nn.Module,
    cases: Mapping[str, Mapping[str, Tensor]],
    outputs: Sequence[str],
    *,
    axes: Axes | None = None,
    exporter: Exporter = "dynamo",
    opset: int | None = None,
    keep_batch_norm: bool = False,
) -> None:
    """Traces with the first case and records every case's outputs."""
    module.eval()
    first = next(iter(cases.values()))
    names = list(first)
    args = tuple(value.clone() for value in first.values())
    with torch.no_grad():
        options: dict[str, Any]
        if exporter == "dynamo":
            shapes = tuple(dict((axes or {}).get(name, {})) or None for name in names)
            if isinstance(module, Wrapped):
                shapes = (shapes,)  # it takes all its arguments as one
            options = {
                "opset_version": opset,
                "dynamic_shapes": shapes if axes else None,
                "verbose": False,
            }
        else:
            mode = torch.onnx.TrainingMode
            options = {
                "opset_version": opset or 17,
                "dynamic_axes": {name: dict(dims) for name, dims in (axes or {}).items()},
                "training": mode.PRESERVE if keep_batch_norm else mode.EVAL,
                "do_constant_folding": not keep_batch_norm,
            }
        torch.onnx.export(
            module,
            args,
            writer.model,
            input_names=names,
            output_names=list(outputs),
            dynamo=exporter == "dynamo",
            **options,
        )
        for case, feeds in cases.items():
            results = module(*(value.clone() for value in feeds.values()))
            recorded = dict(zip(outputs, (r.numpy() for r in flat(results)), strict=True))
            writer.case(case, {name: value.numpy() for name, value in feeds.items()}, recorded)

"""Convolutional networks: classification, segmentation, detection."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from zoo.recipe import Writer, recipe
from zoo.torch_export import export, field, seeded, settle_batch_norm

IMAGE = (3, 224, 224)


def _resnet50() -> nn.Module:
    network = ResNetForImageClassification(ResNetConfig(num_labels=1000))
    return settle_batch_norm(field(network, "logits"), 4, *IMAGE)


@recipe("vision")
def resnet50(out: Writer) -> None:
    seeded(101)
    cases = {f"b{n}": {"input": torch.randn(n, *IMAGE)} for n in (1, 4)}
    export(out, _resnet50(), cases, ["logits"], axes={"input": {0: "batch"}})


@recipe("vision")
def resnet50_bn_legacy(out: Writer) -> None:
    """As older exporters left it: batch normalisation by itself, opset 13."""
    seeded(101)
    cases = {"b1": {"input": torch.randn(1, *IMAGE)}}
    network = _resnet50()
    export(out, network, cases, ["logits"], exporter="torchscript", opset=13, keep_batch_norm=True)


@recipe("vision")
def mobilenet_v2(out: Writer) -> None:
    seeded(102)
    config = MobileNetV2Config(num_labels=1000, tf_padding=False)
    network = field(MobileNetV2ForImageClassification(config), "logits")
    axes = {"input": {0: "batch"}, "logits": {0: "batch"}}
    cases = {"b1": {"input": torch.randn(1, *IMAGE)}}
    settle_batch_norm(network, 4, *IMAGE)
    export(out, network, cases, ["logits"], axes=axes, exporter="torchscript", opset=13)


class UNet(nn.Module):
    """Ronneberger's: halves four times, and joins what it saw on the way down."""

    def __init__(self, width: int = 32, classes: int = 2) -> None:
        super().__init__()
        widths = [width << level for level in range(5)]
        self.down = nn.ModuleList(map(self.pair, [3, *widths[:-1]], widths))
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, kernel_size=2, stride=2) for w in reversed(widths[:-1])
        )
        self.join = nn.ModuleList(self.pair(2 * w, w) for w in reversed(widths[:-1]))
        self.halve = nn.MaxPool2d(2)
        self.head = nn.Conv2d(width, classes, kernel_size=1)

    @staticmethod
    def pair(inputs: int, outputs: int) -> nn.Module:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers.append(nn.Conv2d(channels, outputs, kernel_size=3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        x = self.down[0](image)
        seen = []
        for level in self.down[1:]:
            seen.append(x)
            x = level(self.halve(x))
        for grow, join in zip(self.grow, self.join, strict=True):
            x = join(torch.cat([seen.pop(), grow(x)], dim=1))
        return self.head(x)


@recipe("vision")
def unet(out: Writer) -> None:
    seeded(103)
    network = settle_batch_norm(UNet(), 1, 3, 256, 256)
    cases = {"b1": {"image": torch.randn(1, 3, 256, 256)}}
    export(out, network, cases, ["mask"], axes={"image": {0: "batch"}})


class Unit(nn.Module):
    """Convolution, normalisation, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.SiLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Stage(nn.Module):
    """Splits in two, refines one half again and again, and mixes all that came about."""

    def __init__(self, inputs: int, outputs: int, depth: int, *, residual: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.enter = Unit(inputs, outputs)
        self.steps = nn.ModuleList(
            nn.Sequential(Unit(half, half, 3), Unit(half, half, 3)) for _ in range(depth)
        )
        self.leave = Unit((2 + depth) * half, outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.enter(x).chunk(2, dim=1))
        for step in self.steps:
            last = parts[-1]
            parts.append(step(last) + last if self.residual else step(last))
        return self.leave(torch.cat(parts, dim=1))


class Pyramid(nn.Module):
    """Three maxima over ever wider windows beside their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = Unit(width, width // 2)
        self.pool = nn.MaxPool2d(kernel_size=5, stride=1, padding=2)
        self.leave = Unit(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.leave(torch.cat(parts, dim=1))


class Detector(nn.Module):
    """Boxes as distributions over distances to four sides, and class scores, at three scales."""

    BINS = 16

    def __init__(self, classes: int, widths: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.classes = classes
        self.strides = strides
        box, score = max(widths[0] // 4, 4 * self.BINS), max(widths[0], min(classes, 100))

        def head(inputs: int, inner: int, outputs: int) -> nn.Module:
            last = nn.Conv2d(inner, outputs, kernel_size=1)
            return nn.Sequential(Unit(inputs, inner, 3), Unit(inner, inner, 3), last)

        self.boxes = nn.ModuleList(head(width, box, 4 * self.BINS) for width in widths)
        self.scores = nn.ModuleList(head(width, score, classes) for width in widths)
        self.mean = nn.Conv2d(self.BINS, 1, kernel_size=1, bias=False)
        with torch.no_grad():
            self.mean.weight.copy_(torch.arange(float(self.BINS)).view(1, -1, 1, 1))

    def anchors(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        centers, scales = [], []
        for features, stride in zip(maps, self.strides, strict=True):
            height, width = int(features.shape[2]), int(features.shape[3])
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            centers.append(torch.stack([x.flatten(), y.flatten()]) + 0.5)
            scales.append(torch.full((1, height * width), float(stride)))
        return torch.cat(centers, dim=1), torch.cat(scales, dim=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        found = [
            torch.cat([box(x), score(x)], dim=1).flatten(2)
            for box, score, x in zip(self.boxes, self.scores, maps, strict=True)
        ]
        boxes, scores = torch.cat(found, dim=2).split((4 * self.BINS, self.classes), dim=1)
        batch, _, count = boxes.shape
        spread = boxes.view(batch, 4, self.BINS, count).transpose(1, 2).softmax(dim=1)
        low, high = self.mean(spread).view(batch, 4, count).chunk(2, dim=1)
        centers, scales = self.anchors(maps)
        start, end = centers - low, centers + high
        boxes = torch.cat([(start + end) / 2, end - start], dim=1) * scales
        return torch.cat([boxes, scores.sigmoid()], dim=1)


class Yolo(nn.Module):
    """A detector of the eighth generation in its smallest size, as published."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Unit(3, 16, 3, 2),
            Unit(16, 32, 3, 2),
            Stage(32, 32, 1, residual=True),
            Unit(32, 64, 3, 2),
            Stage(64, 64, 2, residual=True),
        )
        self.middle = nn.Sequential(Unit(64, 128, 3, 2), Stage(128, 128, 2, residual=True))
        self.deep = nn.Sequential(
            Unit(128, 256, 3, 2), Stage(256, 256, 1, residual=True), Pyramid(256)
        )
        self.widen = nn.Upsample(scale_factor=2, mode="nearest")
        self.up1 = Stage(384, 128, 1, residual=False)
        self.up2 = Stage(192, 64, 1, residual=False)
        self.halve1 = Unit(64, 64, 3, 2)
        self.down1 = Stage(192, 128, 1, residual=False)
        self.halve2 = Unit(128, 128, 3, 2)
        self.down2 = Stage(384, 256, 1, residual=False)
        self.detect = Detector(80, (64, 128, 256), (8, 16, 32))

    def forward(self, images: Tensor) -> Tensor:
        fine = self.stem(images)
        middle = self.middle(fine)
        deep = self.deep(middle)
        up = self.up1(torch.cat([self.widen(deep), middle], dim=1))
        large = self.up2(torch.cat([self.widen(up), fine], dim=1))
        medium = self.down1(torch.cat([self.halve1(large), up], dim=1))
        small = self.down2(torch.cat([self.halve2(medium), deep], dim=1))
        return self.detect([large, medium, small])


@recipe("vision")
def yolov8n_like(out: Writer) -> None:
    seeded(104)
    network = settle_batch_norm(Yolo(), 1, 3, 640, 640, batches=1)
    cases: dict[str, Any] = {"b1": {"images": torch.rand(1, 3, 640, 640)}}
    export(out, network, cases, ["output0"], exporter="torchscript", opset=17)

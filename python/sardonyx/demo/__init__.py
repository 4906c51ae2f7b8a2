"""`sardonyx demo`: a small network reads handwritten digits that it has never seen."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import sardonyx
from sardonyx.model import Model, demo_model, load

SHADES = " ░▒▓█"
ASCII_SHADES = " .:*@"
SHOWN = 8
PER_ROW = 4
GAP = "    "


def _shades() -> str:
    try:
        SHADES.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ASCII_SHADES
    return SHADES


def _picture(image: np.ndarray[Any, Any], shades: str) -> list[str]:
    """The 8 x 8 levels of ink, 0 to 16, as lines of text; two characters make a square."""
    levels = np.minimum(image.astype(int) * len(shades) // 16, len(shades) - 1)
    return ["".join(shades[level] * 2 for level in row) for row in levels]


def _gallery(images: Sequence[Any], captions: Sequence[str], shades: str) -> str:
    lines = []
    for start in range(0, len(images), PER_ROW):
        row = [_picture(image, shades) for image in images[start : start + PER_ROW]]
        lines += [GAP.join(parts).rstrip() for parts in zip(*row, strict=True)]
        lines += [GAP.join(f"{c:^16}" for c in captions[start : start + PER_ROW]).rstrip(), ""]
    return "\n".join(lines)


def _median_us(model: Model, images: Sequence[Any], seconds: float) -> float:
    """Microseconds of one call, the median over calls on one image after the other."""
    for image in images[:50]:
        model(image)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for image in images:
            start = time.perf_counter_ns()
            model(image)
            times.append(time.perf_counter_ns() - start)
    return float(np.median(times)) / 1e3


def measure(seconds: float = 0.5) -> dict[str, Any]:
    """Runs the model on all held-out digits; the figures, and what the pictures need."""
    model = load(demo_model())
    data = np.load(Path(__file__).with_name("digits.npz"))
    images, labels = data["images"], data["labels"]
    inputs = (images[:, None] / 16).astype(np.float32)
    probabilities = model(inputs)
    guesses = probabilities.argmax(1)
    singles = [inputs[i : i + 1] for i in range(len(inputs))]
    return {
        "model": model,
        "images": images,
        "labels": labels,
        "guesses": guesses,
        "confidence": probabilities.max(1),
        "correct": int((guesses == labels).sum()),
        "single_us": _median_us(model, singles, seconds),
        "batch_us": _median_us(model, [inputs] * 10, seconds) / len(inputs),
        "profile": model.profile({"image": singles[0]}, runs=21),
    }


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """The figures alone."""
    return {
        "digits": len(found["labels"]),
        "correct": found["correct"],
        "accuracy": found["correct"] / len(found["labels"]),
        "microseconds_per_digit": {"one": found["single_us"], "batch": found["batch_us"]},
        "predictions": found["guesses"].tolist(),
        "steps": found["profile"].rows(),
    }


def as_text(found: dict[str, Any]) -> str:
    """The figures and some digits, mistakes among them, as a person would like to see them."""
    labels, guesses = found["labels"], found["guesses"]
    mistakes = np.flatnonzero(guesses != labels)[: SHOWN // 4]
    right = np.flatnonzero(guesses == labels)[: SHOWN - len(mistakes)]
    shown = [*right, *mistakes]
    captions = [
        f"{guesses[i]}  {found['confidence'][i]:.1%}"
        if guesses[i] == labels[i]
        else f"{guesses[i]}, but it is {labels[i]}"
        for i in shown
    ]
    total, model = len(labels), found["model"]
    threads = f"{model.threads} thread{'s' if model.threads > 1 else ''}"
    gallery = _gallery([found["images"][i] for i in shown], captions, _shades())
    return f"""\
Sardonyx {sardonyx.__version__} reads handwritten digits ({sardonyx.instruction_set()}, {threads})

{gallery}
Accuracy   {found["correct"] / total:.1%}: {found["correct"]} of {total} digits it has never seen
Latency    {found["single_us"]:.1f} us a digit, one by one (median)
           {found["batch_us"]:.2f} us a digit in a batch of {total}

Where the time goes, one digit:
{found["profile"].table(6, shapes=False)}"""

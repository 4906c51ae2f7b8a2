"""The fuzzers at length: python tests/fuzz KIND --minutes 10 (see --help)."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("", "differential", "ops"))]

from campaigns import CAMPAIGNS, DEFAULT_RECORD  # noqa: E402
from corpus import record  # noqa: E402
from isolation import run_isolated  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument(
        "kind",
        choices=[*CAMPAIGNS, "record"],
        help="record: keep the models of the"
        " operators' tests, which the other kinds then mutate as well",
    )
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, help="of the first case; random by default")
    parser.add_argument("--cases", type=int, default=10**7, help="at most so many")
    parser.add_argument("--corpus", type=Path, default=DEFAULT_RECORD)
    parser.add_argument("--tests", nargs="*", default=[str(HERE.parent / "ops")])
    parser.add_argument("--save", type=Path, help="writes the model of --seed to this file")
    given = parser.parse_args()
    if given.kind == "record":
        print(f"{record(given.corpus, given.tests)} models in {given.corpus}")
        return 0
    campaign = CAMPAIGNS[given.kind](given.corpus)
    seed = given.seed if given.seed is not None else random.randrange(10**9)
    if given.save:
        data, _, done = campaign.make(seed)
        given.save.write_bytes(data)
        print(done)
        return 0
    seeds = range(seed, seed + given.cases)
    print(f"{given.kind} from seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = run_isolated(
            seeds, campaign.make, campaign.check, Path(folder), given.minutes * 60
        )
    print(report)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())

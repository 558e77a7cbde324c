"""What is lost, doubled or slow when things go wrong: this package, and with `--who both` PyQS 1.0.1 beside it.

    cargo xtask bench chaos                            # every scenario, about six minutes
    cargo xtask bench chaos quiet errors throttled     # these alone
    cargo xtask bench chaos backlog --backlog 1000000  # a million messages waiting
    cargo xtask bench chaos --who both                 # where the original can run, it runs too

Faults are the endpoint's (`pyqs local --fault-file`) and signals to real processes. Prints a table
and, with `--json FILE`, writes the same figures for a script. The exit code is 1 where something of
ours was lost, doubled without a cause, out of order, or slower than it must be.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Optional

from chaos_run import Result
from chaos_scenarios import SCENARIOS, Options, Scenario
from local import ORIGINAL, OURS, ensure_peers

ORIGINAL_SCALE = 1 / 40
"""The original does about a hundred tasks a second."""


def judge(scenario: Scenario, result: Result) -> None:
    """Add what should not be so."""
    if result.lost:
        result.failures.append("lost")
    if result.left > 0:
        result.failures.append("left over")
    if result.duplicates and not scenario.duplicates_allowed:
        result.failures.append("duplicates")
    if scenario.ratio_least is not None and result.ratio is not None and result.ratio < scenario.ratio_least:
        result.failures.append(f"slower than {scenario.ratio_least:.0%} of quiet")


def play(names: list[str], options: Options) -> dict[str, Result]:
    """Run scenarios and show each when it is done."""
    results: dict[str, Result] = {}
    for name in names:
        scenario = SCENARIOS[name]
        began = time.monotonic()
        # Compared with a quiet run right before, since other work on the machine comes and goes.
        quiet = SCENARIOS["quiet"].play(options).tasks_a_sec if scenario.ratio_least is not None else None
        result = scenario.play(options)
        if quiet and result.tasks_a_sec:
            result.ratio = result.tasks_a_sec / quiet
        judge(scenario, result)
        results[name] = result
        print(row(name, result), f"({time.monotonic() - began:.0f} s)", flush=True)
    return results


def heading() -> str:
    return (
        f"{'scenario':<18}{'sent':>9}{'ran':>9}{'lost':>6}{'double':>8}{'cut':>5}{'left':>7}"
        f"{'recovery':>10}{'tasks/s':>9}{'ratio':>7}"
    )


def row(name: str, result: Result) -> str:
    recovery = "" if result.recovery_secs is None else f"{result.recovery_secs:.2f} s"
    speed = "" if result.tasks_a_sec is None else f"{result.tasks_a_sec:,.0f}"
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    figures = (
        f"{name:<18}{result.sent:>9,}{result.ran:>9,}{result.lost:>6,}{result.duplicates:>8,}"
        f"{result.cut_short:>5,}{result.left:>7,}{recovery:>10}{speed:>9}{ratio:>7}"
    )
    notes = [*result.notes, *(f"FAILS: {failure}" for failure in result.failures)]
    return "  ".join([figures, "; ".join(notes)]).rstrip()


def main(argv: Optional[list[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="\n".join(f"{name:<20}{scenario.what}" for name, scenario in SCENARIOS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", help="which ones (default: all)")
    parser.add_argument("--who", choices=["ours", "original", "both"], default="ours", help="original: PyQS 1.0.1")
    parser.add_argument("--backlog", type=int, default=50_000, help="messages of the scenario backlog")
    parser.add_argument("--long-secs", type=float, default=60, help="how long the task of long-task lasts")
    parser.add_argument("--deadline-secs", type=float, default=90, help="how long a scenario may take before it is cut")
    parser.add_argument("--scale", type=float, default=1.0, help="how many of the tasks, 1 for all")
    parser.add_argument("--seed", type=int, default=1, help="what is killed when")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args(argv)
    if unknown := set(args.scenarios) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    names = [name for name in SCENARIOS if name in (args.scenarios or SCENARIOS)]
    options = Options(OURS, args.deadline_secs, args.seed, args.backlog, args.long_secs, args.scale)
    figures: dict[str, dict[str, Result]] = {}
    if args.who != "original":
        print(heading(), flush=True)
        figures["ours"] = play(names, options)
    if args.who != "ours":
        ensure_peers()
        print(f"\nPyQS 1.0.1\n{heading()}", flush=True)
        options.command, options.scale = ORIGINAL, args.scale * ORIGINAL_SCALE
        figures["original"] = play([name for name in names if SCENARIOS[name].original], options)
    if args.json:
        plain = {who: {name: asdict(result) for name, result in rows.items()} for who, rows in figures.items()}
        args.json.write_text(json.dumps(plain, indent=2) + "\n")
    return 1 if any(result.failures for result in figures.get("ours", {}).values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a data set holds: counts per generator, balance, agreement, blind multiple choice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import chisquare

from robot.data.parquet import read_table
from robot.instruct.blind import Blind, Choice, blind
from robot.types import InputError


@dataclass
class GeneratorSummary:
    """One generator's records; `top_share` is that of the most frequent answer."""

    records: int = 0
    agreed: int = 0
    choices: int = 0
    abstained: int = 0
    families: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def top_share(self) -> float:
        return max(self.answers.values(), default=0) / max(1, self.records)


@dataclass
class DataSetSummary:
    """A whole data set."""

    generators: dict[str, GeneratorSummary]
    records: int
    agreed: int
    families: list[str]
    wordings: int  # distinct templates
    duplicates: int  # questions asked twice about the same images
    unfilled: int  # questions with a slot left
    position_p: float | None  # of a chi-square test that the right option is at any place alike
    blind: Blind
    disagreements: dict[str, int]


def record_paths(root: Path) -> list[Path]:
    """Return the files of records of a data set; raise InputError where there are none."""
    paths = sorted((root / "records").glob("*.parquet"))
    if not paths:
        raise InputError(f"got {root} without records, expected a data set; make one first")
    return paths


def rows_of(root: Path) -> Iterator[dict]:
    """Yield all records of a data set as rows, without their masks."""
    for path in record_paths(root):
        table = read_table(path).drop_columns(["answer_masks", "relevance_masks"])
        yield from table.to_pylist()


def summarise(root: Path) -> DataSetSummary:
    """Read a data set and count."""
    by_name: dict[str, GeneratorSummary] = {}
    wordings: set[tuple] = set()
    asked: Counter[tuple] = Counter()
    choices: list[Choice] = []
    places: dict[int, Counter[int]] = {}
    unfilled = 0
    for row in rows_of(root):
        of = by_name.setdefault(row["generator"], GeneratorSummary())
        of.records += 1
        of.agreed += row["verified"]
        of.families.add(row["family"])
        of.answers[row["answer"]] += 1
        wordings.add((row["generator"], row["template"]))
        asked[(row["question"], *row["images"])] += 1
        unfilled += "{" in row["question"] or "}" in row["question"]
        if row["options"]:
            of.choices += 1
            place = row["options"].index(row["answer"])
            places.setdefault(len(row["options"]), Counter())[place] += 1
            slots = json.loads(row["slots"])
            choices.append(Choice(row["generator"], slots, row["options"], row["answer"]))
    disagreements: Counter[str] = Counter()
    for path in sorted((root / "shards").glob("*.json")):
        shard = json.loads(path.read_text(encoding="utf-8"))
        disagreements.update(shard["disagreements"])
        for name, count in shard["abstained"].items():
            by_name.setdefault(name, GeneratorSummary()).abstained += count
    return DataSetSummary(
        generators=dict(sorted(by_name.items())),
        records=sum(g.records for g in by_name.values()),
        agreed=sum(g.agreed for g in by_name.values()),
        families=sorted(set().union(*(g.families for g in by_name.values()))),
        wordings=len(wordings),
        duplicates=sum(n - 1 for n in asked.values()),
        unfilled=unfilled,
        position_p=_uniform(places),
        blind=blind(choices),
        disagreements=dict(disagreements),
    )


def _uniform(places: dict[int, Counter[int]]) -> float | None:
    """Return the p-value of uniform places, over all numbers of options together."""
    found, expected, freedom = [], [], 0
    for size, counts in places.items():
        total = sum(counts.values())
        if total < 5 * size:
            continue
        found += [counts[k] for k in range(size)]
        expected += [total / size] * size
        freedom += size - 1
    if not found:
        return None
    spare = len(found) - 1 - freedom
    return float(chisquare(np.array(found), np.array(expected), ddof=spare).pvalue)

"""Train the judge of requests: what robot/words/request_judge.safetensors came from.

    python tools/train_request_judge.py --hold-out  # without one author after the other: figures
    python tools/train_request_judge.py             # on all of them: the weights

Learns from `request_judge.yaml` beside this file and from the sentences of four authors
(benchmarks/sentences*.yaml), each filled with two objects; the grammar reads none of them here.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from benchmarks.read_goals import filled, misspelt
from benchmarks.read_sentences import COLOURS, SEED, SHAPES, Noun, Placed, Table
from robot.checkpoint import save_tensors
from robot.language import WordStates, load_minilm_states
from robot.system.command import main_guard
from robot.words.candidates import Passage, candidates_of
from robot.words.items import Thing, items_of, words_of
from robot.words.judge import (
    ASKED_ABOVE,
    FILE,
    KIND,
    LAYERS,
    OTHERS_BELOW,
    PassageReader,
    RequestJudge,
    embedded,
    padded,
)
from robot.words.phrases import noun_phrases

ROOT = Path(__file__).resolve().parents[1]
AUTHORS = ("", "_independent", "_third", "_fourth")  # of benchmarks/sentences*.yaml
WRITTEN = "written"  # the author of request_judge.yaml
NOUNS = [Noun(*n) for n in product(SHAPES, COLOURS)]
AUTHOR_WEIGHT = 2.0  # of an author's sentence, where one of request_judge.yaml counts as 1
EPOCHS, BATCH, RATE, DECAY = 6, 48, 2e-3, 0.05
FRAMES = {"asks": 4, "tells": 2}  # of deeds that each verb is put in
BARS = (0.5, 0.7, ASKED_ABOVE, 0.9)  # that figures are printed for
SURE = 0.98  # what training asks for in place of 1


@dataclass(frozen=True)
class Example:
    """An object that a text names, and whether the text asks for it."""

    author: str
    kind: str
    text: int  # a number that its candidates share
    asked: bool
    passages: tuple[Passage, ...]


def examples_of(text: str, *, target: Noun | None, author: str, kind: str, k: int) -> list[Example]:
    """Return every object that a text names; `target` is what it asks for, if for anything."""
    meant = Thing(noun=target.shape, colour=target.colour) if target else None
    return [
        Example(author, kind, k, meant is not None and meant.fits(one.thing), one.passages)
        for one in candidates_of(noun_phrases(items_of(words_of(text))))
    ]


def of_author(author: str, *, drawings: int = 2) -> Iterator[tuple[str, str, Noun | None]]:
    """Yield the kinds, texts and targets of an author's sentences."""
    path = ROOT / f"benchmarks/sentences{author}.yaml"
    for group, kinds in yaml.safe_load(path.read_text()).items():
        for kind, sentences in kinds.items() if group != "words" else ():
            for number, sentence in enumerate(sentences):
                for drawing in range(drawings if "~" in sentence else 1):
                    if "{missing}" in sentence:
                        continue
                    rng = np.random.default_rng([SEED, drawing, number])
                    target, other = (NOUNS[k] for k in rng.permutation(len(NOUNS))[:2])
                    table = Table(target, (Placed(target), Placed(other)))
                    text = filled(sentence, episode=table, rng=rng, missing=())
                    yield kind, text, target if group == "found" else None


def of_templates(rng: np.random.Generator) -> Iterator[tuple[str, str, Noun | None]]:
    """Yield the kinds, texts and targets of request_judge.yaml: each as it stands, between other
    sentences, within a longer one, and some with a typing error.
    """
    written = yaml.safe_load(Path(__file__).with_name("request_judge.yaml").read_text())

    def some(name: str, share: float) -> str:
        return str(rng.choice(written[name])) if rng.random() < share else ""

    def of_deeds(kind: str) -> Iterator[str]:
        for deed in written["deeds"][kind]:
            frames = rng.choice(written["deeds"]["frames"], FRAMES[kind], replace=False)
            yield from (str(frame).replace("{do}", deed) for frame in frames)

    groups = [(kind, written[kind]) for kind in ("asks", "tells", "foreign", "near")]
    groups += [(kind, of_deeds(kind)) for kind in ("asks", "tells")]
    for kind, templates in groups:
        for template in templates:
            ended = template if template[-1] in ".?!" else f"{template}."
            around = [" ".join(some("neighbours", 0.5) for _ in range(2)) for _ in range(2)]
            within = template.rstrip(".?!")
            texts = [template]
            if kind != "foreign":
                texts += [f"{around[0]} {ended} {around[1]}"]
                texts += [f"{some('before', 0.6)} {within} {some('after', 0.6)}"]
                texts += [_with_slip(template, rng)] if rng.random() < 0.3 else []
            for text in texts:
                target, other = (NOUNS[k] for k in rng.permutation(len(NOUNS))[:2])
                said = _named(_named(text, "{x}", target), "{o}", other)
                yield kind, said, target if kind == "asks" else None


def _named(text: str, place: str, noun: Noun) -> str:
    """Name an object in a template, with "the" where it has no word of that kind."""
    name = f"{noun.colour} {noun.shape}"
    determined = r"\b(a|an|my|the|this|that|these|whose|nice|lovely) " + re.escape(place)
    text = re.sub(determined, lambda found: f"{found[1]} {name}", text)
    return text.replace(place, f"the {name}")


def _with_slip(text: str, rng: np.random.Generator) -> str:
    words = text.split(" ")
    long = [k for k, word in enumerate(words) if word.isalpha() and len(word) > 3]
    if long:
        k = int(rng.choice(long))
        words[k] = misspelt(words[k], rng=rng)
    return " ".join(words)


def all_examples() -> list[Example]:
    texts = [(author, *of) for author in AUTHORS for of in of_author(author)]
    texts += [(WRITTEN, *of) for of in of_templates(np.random.default_rng(SEED))]
    return [
        example
        for k, (author, kind, text, target) in enumerate(texts)
        for example in examples_of(text, target=target, author=author, kind=kind, k=k)
    ]


class Seen:
    """Passages as MiniLM sees them, each once."""

    def __init__(self, examples: Sequence[Example], states: WordStates) -> None:
        unique = sorted({p for e in examples for p in e.passages}, key=len)
        self.of: dict[Passage, tuple[Tensor, Tensor]] = {}
        for k in range(0, len(unique), 32):
            part = unique[k : k + 32]
            seen = [(tokens.half(), roles) for tokens, roles in embedded(part, states)]
            self.of |= dict(zip(part, seen, strict=True))

    def size(self, example: Example) -> int:
        return max(len(self.of[passage][1]) for passage in example.passages)

    def logits(self, reader: torch.nn.Module, examples: Sequence[Example]) -> Tensor:
        """Return an example's largest logit over its passages."""
        passages = [self.of[passage] for example in examples for passage in example.passages]
        which = torch.tensor([k for k, e in enumerate(examples) for _ in e.passages])
        lowest = torch.full((len(examples),), -torch.inf)
        return lowest.scatter_reduce(0, which, reader(*padded(passages)), "amax")


def trained(examples: Sequence[Example], seen: Seen, *, seed: int) -> PassageReader:
    """Return a reader of the judge."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    reader = RequestJudge(readers=1).readers[0].train()
    assert isinstance(reader, PassageReader)
    optimizer = torch.optim.AdamW(reader.parameters(), weight_decay=DECAY)
    steps = EPOCHS * math.ceil(len(examples) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    for _ in range(EPOCHS):
        rows = sorted(examples, key=lambda e: seen.size(e) * (1 + 0.3 * rng.random()))
        batches = [rows[k : k + BATCH] for k in range(0, len(rows), BATCH)]
        for k in rng.permutation(len(batches)):
            batch = batches[k]
            asked = torch.tensor([SURE if e.asked else 1 - SURE for e in batch])
            weight = torch.tensor([1.0 if e.author == WRITTEN else AUTHOR_WEIGHT for e in batch])
            logits = seen.logits(reader, batch)
            loss = F.binary_cross_entropy_with_logits(logits, asked, weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return reader.eval()


def train_judge(examples: Sequence[Example], seen: Seen, *, readers: int) -> RequestJudge:
    judge = RequestJudge(readers=readers)
    for k in range(readers):
        judge.readers[k].load_state_dict(trained(examples, seen, seed=k).state_dict())
    return judge.eval()


@torch.inference_mode()
def figures(
    judge: RequestJudge, examples: Sequence[Example], seen: Seen, *, above: float
) -> dict[str, float]:
    """Return by kind the share of texts that are judged right: the target alone where one is asked
    for; under "not_found" the share of texts, of those that name an object, that are acted on.
    """
    rows = sorted(examples, key=seen.size)
    batches = [rows[k : k + BATCH] for k in range(0, len(rows), BATCH)]
    logits = torch.cat([seen.logits(judge, batch) for batch in batches])
    by_text: dict[int, list[tuple[Example, float]]] = {}
    for example, probability in zip(rows, torch.sigmoid(logits).tolist(), strict=True):
        by_text.setdefault(example.text, []).append((example, probability))
    right: dict[str, list[bool]] = {}
    for of_text in by_text.values():
        asks = any(example.asked for example, _ in of_text)
        best, sure = max(of_text, key=lambda pair: pair[1])
        others = [p for example, p in of_text if example is not best]
        acts = sure > above and all(p < OTHERS_BELOW for p in others)
        kind = best.kind if asks else "not_found"
        right.setdefault(kind, []).append(acts and (best.asked or not asks))
        if asks:
            right.setdefault("wrong object", []).append(acts and not best.asked)
    return {kind: float(np.mean(of)) for kind, of in right.items()}


def hold_out(examples: Sequence[Example], seen: Seen, *, readers: int) -> None:
    """Print figures for each author, of a judge that was trained without that author."""
    for author in AUTHORS:
        judge = train_judge([e for e in examples if e.author != author], seen, readers=readers)
        own = [e for e in examples if e.author == author]
        for above in BARS:
            values = figures(judge, own, seen, above=above)
            print(f"sentences{author} above {above}: {_rounded(values)}", flush=True)


def _rounded(values: Mapping[str, float]) -> str:
    return ", ".join(f"{kind} {value:.3f}" for kind, value in sorted(values.items()))


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Train on all that was written, or without one author after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hold-out", action="store_true")
    parser.add_argument("--readers", type=int, default=3)
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    examples = all_examples()
    seen = Seen(examples, load_minilm_states(layers=LAYERS))
    print(f"{len(examples)} examples, {sum(e.asked for e in examples)} asked for", flush=True)
    if options.hold_out:
        hold_out(examples, seen, readers=options.readers)
        return
    judge = train_judge(examples, seen, readers=options.readers)
    tensors = {name: tensor.half() for name, tensor in judge.state_dict().items()}
    config = {"readers": options.readers}
    print(save_tensors(options.file, tensors, kind=KIND, config=config, metadata={}))


if __name__ == "__main__":
    main()

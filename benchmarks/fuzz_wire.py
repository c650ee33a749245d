"""Send mutated messages to a policy server: none crashes it, every one is answered.

    python benchmarks/fuzz_wire.py [--messages 100000] [--checkpoint tabletop] [--seed 0]

Messages are observations with bytes flipped, cut, repeated, inserted and lengths overwritten. First
all of them go through the reader alone (`unpack` and `observation_of`); then one in `--every` over
the websocket to a server in a process of its own, each on a connection of its own, where the answer
has to be an answer, one sentence, or a close frame. The last line on stdout is the path of
results.json.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from benchmarks.timing import describe_machine
from robot.checkpoint import resolve_checkpoint, spaces_of
from robot.deploy.exchange import Keys, observation_of
from robot.deploy.wire import WireError, pack, unpack
from robot.spaces import Spaces
from robot.system.command import main_guard, run_directory, write_results

ROOT = Path(__file__).resolve().parents[1]
MOST_GROWTH_MB = 64


def mutated(message: bytes, rng: random.Random) -> bytes:
    """Return a message with one to four faults."""
    data = bytearray(message)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.randint(1, 64)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 16))
        elif kind == 4:
            data[at:at] = data[at : at + rng.randint(1, 256)]
        else:
            data[at : at + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\xdd\xff\xff\xff"))
    return bytes(data)


def sample_message(spaces: Spaces, rng: random.Random) -> bytes:
    """Return an observation of small pictures, so that faults hit its structure, too."""
    keys = Keys()
    images = {
        keys.of_camera(camera.name): np.zeros((camera.height, camera.width, 3), np.uint8)
        for camera in spaces.cameras
    }
    state = np.array([rng.random() for _ in spaces.state.names], np.float32)
    fields = {keys.state: state, keys.prompt: "pick up the red cup", **images}
    return pack(dict(rng.sample(list(fields.items()), len(fields))))


def read(message: bytes, spaces: Spaces) -> str:
    """Return how the reader takes a message; any other exception is a crash."""
    try:
        observation_of(unpack(message), spaces=spaces, keys=Keys())
    except WireError:
        return "refused"
    return "read"


def ask(url: str, message: bytes) -> str:
    """Return how the server takes a message."""
    with connect(url, compression=None, max_size=None, proxy=None) as socket:
        socket.recv(timeout=10)
        socket.send(message)
        try:
            answer = socket.recv(timeout=10)
        except ConnectionClosed:
            return "closed"
    if isinstance(answer, bytes):
        unpack(answer)
        return "answered"
    if "Traceback" in answer or "\n" in answer:
        return "leaked"
    return "crashed" if "server's log" in answer else "refused"


def main() -> None:
    parser = argparse.ArgumentParser(description="Send mutated messages to a policy server.")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=50, help="of the messages go over a socket")
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    spaces = spaces_of(resolve_checkpoint(options.checkpoint))
    rng = random.Random(options.seed)
    messages = [sample_message(spaces, rng) for _ in range(20)]

    def draw() -> bytes:
        return mutated(rng.choice(messages), rng)

    began = time.perf_counter()
    reader = Counter(
        read(draw(), spaces) for _ in track(range(options.messages), description="reader")
    )
    reader_s = time.perf_counter() - began
    with subprocess.Popen(
        [sys.executable, "launch/serve.py", f"checkpoint={options.checkpoint}", "port=0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        found = re.search(r"ws://\S+", server.stdout.readline())
        assert found, "the server did not start"
        url = found.group()
        before = resident_mb(server.pid)
        count = range(options.messages // options.every)
        served = Counter(ask(url, draw()) for _ in track(count, description="server"))
        grown = resident_mb(server.pid) - before
        alive = ask(url, messages[0]) == "answered" and server.poll() is None
        server.terminate()
    table = Table("", "messages", *(kinds := sorted({*reader, *served})))
    for name, counts in (("reader", reader), ("server", served)):
        table.add_row(name, str(counts.total()), *(str(counts[kind]) for kind in kinds))
    Console(stderr=True).print(
        table, f"reader {reader_s:.0f} s; server alive: {alive}, grown by {grown:.0f} MB"
    )
    run = run_directory("bench-fuzz-wire")
    results = {
        "machine": describe_machine(load_before=load),
        "reader": dict(reader),
        "server": dict(served),
        "alive": alive,
        "grown_mb": grown,
        "messages": options.messages,
    }
    print(write_results(run, results))
    sound = alive and not served["leaked"] and not served["crashed"] and grown < MOST_GROWTH_MB
    raise SystemExit(0 if sound else 1)


def resident_mb(pid: int) -> float:
    """Return the memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main_guard(main)()

"""Ask a served agent through openpi's own client, unmodified: the same actions, and what it costs.

    python benchmarks/serve_policy.py [--calls 1000] [--checkpoint tabletop] [--task pick]
                                      [--scene distract] [--episodes 2]

The server runs in a process of its own; observations are what a scripted expert saw. Every answer
is compared, to the bit, with what `Agent.plan` gives here for the same observations and random
numbers, computed afterwards. `overhead` is the round trip on loopback less the time that the
agent's plan took in the server. The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.looks import expert_looks
from benchmarks.timing import describe_machine, percentiles, said_of_load
from robot.agent import Agent
from robot.deploy.exchange import Keys
from robot.deploy.remote import message_of
from robot.system.command import main_guard, run_directory, write_results

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a served agent through openpi's client.")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--task", default="pick")
    parser.add_argument("--scene", default="distract")
    parser.add_argument("--episodes", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # openpi's client and websockets 17
    load = os.getloadavg()[0]
    console = Console(stderr=True)
    looks = [
        look.observation
        for look in expert_looks(
            task=options.task,
            scene=options.scene,
            episodes=options.episodes,
            seed=0,
            console=console,
        )
    ]
    messages = [message_of(look, keys=Keys()) for look in looks]
    command = [sys.executable, "launch/serve.py", f"checkpoint={options.checkpoint}", "port=0"]
    answers, round_trips = [], []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"ws://(\S+):(\d+)", server.stdout.readline())
        assert found, "the server did not start"
        client = WebsocketClientPolicy(found[1], int(found[2]))
        for number in track(range(options.calls), description="asking"):
            began = perf_counter()
            answers.append(client.infer(messages[number % len(messages)]))
            round_trips.append(1e3 * (perf_counter() - began))
        server.terminate()
    agent = Agent.load(options.checkpoint)
    generator = torch.Generator(agent.device).manual_seed(0)
    same = sum(
        np.array_equal(
            agent.plan(looks[number % len(looks)], generator=generator).chunk.actions,
            answers[number]["actions"],
        )
        for number in track(range(options.calls), description="planning here")
    )
    planned = [sum(answer["policy_timing"].values()) for answer in answers]
    overhead = np.array(round_trips) - np.array(planned)
    times = {
        "round_trip": percentiles(np.array(round_trips)),
        "plan": percentiles(np.array(planned)),
        "overhead": percentiles(overhead),
    }
    machine = describe_machine(load_before=load)
    table = Table("", "p50 ms", "p99 ms", title=said_of_load(machine))
    for name, of in times.items():
        table.add_row(name.replace("_", " "), f"{of['p50_ms']:.2f}", f"{of['p99_ms']:.2f}")
    console.print(table, f"{same} of {options.calls} answers are the agent's own")
    results = {"machine": machine, "calls": options.calls, "same": same, "ms": times}
    print(write_results(run_directory("bench-serve-policy"), results))
    raise SystemExit(0 if same == options.calls else 1)


if __name__ == "__main__":
    main_guard(main)()

"""The page as a person meets it: launch/demo.py in a process of its own, Chromium in front of it.

`make test-browser` runs these; playwright is not in .venv.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from robot.envs.mujoco import MujocoEnv
from tools.setup_browser import browser

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
LOADS_MS, ACTS_MS = 120_000, 120_000  # on a busy machine
FIRST_PAINT_MS = 2000
SEED, SCENE = 1000, "duplicates"


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """Serve a page in front of a table with cups that look alike."""
    command = [sys.executable, str(ROOT / "launch/demo.py"), "port=0", f"scene={SCENE}"]
    log = (tmp_path_factory.mktemp("demo") / "log").open("w")
    with subprocess.Popen(
        [*command, f"seed={SEED}"], stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
    ) as served:
        assert served.stdout is not None
        line = served.stdout.readline()
        try:
            yield re.search(r"http://[\d.:]+/", line)[0]  # type: ignore[index]
        finally:
            served.terminate()
            served.wait(60)  # on a busy machine


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright  # pyright: ignore[reportMissingImports]

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(chromium, address):
    """Open the page, wait until the robot is ready, and see that all came from the one host."""
    opened = chromium.new_page(viewport={"width": 1280, "height": 800})
    asked, failed = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: failed.append(str(error)))
    opened.goto(address)
    opened.wait_for_selector("#status[data-phase=ready]", timeout=LOADS_MS)
    arrange(opened, scene=SCENE)
    yield opened
    opened.close()
    assert failed == []
    assert {url for url in asked if not url.startswith((address, "blob:", "data:"))} == set()


@pytest.fixture(scope="module")
def boxes() -> dict[str, tuple[float, float, float, float]]:
    """Return the boxes of the goal's objects, in shares of the picture, by role: "target",
    "destination", and "copy", which looks as the target does.
    """
    env = MujocoEnv(task="place")
    env.reset(seed=SEED, options={"scene": SCENE, "episode": 0})
    scene = env.task.scene  # type: ignore[attr-defined]
    noun = next(p.noun for p in scene.placements if p.body == scene.target)
    copy = next(p.body for p in scene.placements if p.noun == noun and p.body != scene.target)
    seen = env.instance_maps()["agentview"]
    found = {}
    for role, body in (
        ("target", scene.target),
        ("destination", scene.destination),
        ("copy", copy),
    ):
        rows, columns = np.nonzero(seen == env.sim.bodies[body].body_id)
        ends = columns.min() - 1, rows.min() - 1, columns.max() + 2, rows.max() + 2
        found[role] = tuple(float(v) / env.image_size for v in ends)
    env.close()
    return found


def arrange(page, *, scene: str) -> None:
    """Choose a scene, whatever the test before chose, and wait until it stands there anew."""
    for ask in (lambda: page.select_option("#condition", scene), lambda: page.click("#again")):
        page.evaluate("document.getElementById('status').dataset.phase = 'asked'")
        ask()
        page.wait_for_selector("#status[data-phase=ready]", timeout=LOADS_MS)


def draw(page, box) -> None:
    """Draw a box with the mouse, and wait until it is there."""
    before = page.locator("#regions li").count()
    place = page.locator("#view").bounding_box()
    x0, y0, x1, y1 = (
        place["xy"[k % 2]] + share * place[("width", "height")[k % 2]]
        for k, share in enumerate(box)
    )
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()
    page.locator("#regions li").nth(before).wait_for()


def ending(page) -> tuple[str, str]:
    """Press Go; return whether it succeeded ("true") and the last sentence."""
    page.click("#go")
    page.wait_for_selector("#status[data-phase=acting]", timeout=LOADS_MS)
    page.wait_for_selector("#status[data-phase=ready]", timeout=ACTS_MS)
    sentence = page.inner_text("#turns li:last-child")
    return page.get_attribute("#status", "data-success"), sentence.partition(" in ")[0]


def test_it_is_painted_at_once(chromium, address):
    page = chromium.new_page()
    page.goto(address)
    paint = "performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)"
    until = time.monotonic() + 10
    while not (painted := page.evaluate(paint)):
        assert time.monotonic() < until
        time.sleep(0.05)
    page.close()
    assert painted[0] <= FIRST_PAINT_MS


def test_words_and_go_put_the_cup_on_the_plate(page):
    arrange(page, scene="distract")
    page.fill("#goal", "put the red cup on the red plate")
    page.locator("#legend:visible").wait_for()  # the masks of what was typed
    assert ending(page) == ("true", "Done"), page.inner_text("#problem")


@pytest.mark.parametrize("cup", ["target", "copy"])
def test_two_boxes_and_go_put_that_cup_on_the_plate(page, boxes, cup):
    draw(page, boxes[cup])
    draw(page, boxes["destination"])
    assert page.input_value("#goal") == "put <region1> on <region2>"
    assert ending(page) == ("true", "Done"), page.inner_text("#problem")


def test_a_click_on_the_picture_is_a_region(page, boxes):
    place, (x0, y0, x1, y1) = page.locator("#view").bounding_box(), boxes["target"]
    middle = ((x0 + x1) / 2 * place["width"], (y0 + y1) / 2 * place["height"])
    page.locator("#view").click(position={"x": middle[0], "y": middle[1]})
    page.locator("#regions li").wait_for()
    assert page.input_value("#goal") == "pick up <region1>"
    page.click("#regions [aria-label='Remove region 1']")
    page.locator("#regions li").wait_for(state="detached")
    assert page.input_value("#goal") == ""


def test_stop_stops(page):
    page.fill("#goal", "put the red cup on the red plate")
    page.click("#go")
    page.wait_for_selector("#status[data-phase=acting]", timeout=LOADS_MS)
    page.keyboard.press("Escape")
    page.wait_for_selector("#status[data-phase=ready]", timeout=5000)
    assert page.inner_text("#turns li:last-child") == "Stopped."


def test_bad_input_is_a_sentence_on_the_page(page):
    page.fill("#goal", "put <region7> on the plate")
    page.click("#go")
    page.locator("#problem:visible").wait_for()
    assert "region 7" in page.inner_text("#problem") and "Traceback" not in page.content()
    page.set_input_files(
        "#upload", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    page.locator("#problem:has-text('no picture')").wait_for()


def test_it_fits_a_phone(chromium, address):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(address)
    page.wait_for_selector("#status[data-phase=ready]", timeout=LOADS_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#view").bounding_box()["width"] >= 340
    page.close()

"""The page, its figures and the terminal table, made from a handful of cells."""

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import pytest
from rich.console import Console

from robot.report.figures import learning_curves, success_figure
from robot.report.html import Exhibit, MaskQuality, Page, duration, write_report
from robot.report.provenance import Provenance, gather, git_revision
from robot.report.statistics import Cell
from robot.report.table import success_table
from robot.types import InputError

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
CHROMIUM = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--allow-file-access-from-files", "--virtual-time-budget=2000", "--dump-dom"),
)
# A window cannot be as narrow as a phone, a frame can. What has to be scrolled sideways is cut.
PROBE = """<iframe src="report.html" style="width: %dpx; height: 900px; border: 0"></iframe>
<pre></pre>
<script>
document.querySelector("iframe").onload = (event) => {
  const page = event.target.contentDocument;
  const parts = [page.documentElement, ...page.querySelectorAll(".wide")];
  const cut = parts.filter((part) => part.scrollWidth > part.clientWidth + 1 && part.clientWidth);
  document.querySelector("pre").textContent =
    cut.map((part) => part.innerText.slice(0, 60)).join("; ") || "all seen";
};
</script>"""
VOID = {"meta", "img", "br", "link", "input", "path", "use"}


def cell(arm, successes, *, scene="distract", task="pick", episodes=100):
    return Cell(
        arm=arm,
        task=task,
        scene=scene,
        episodes=episodes,
        successes=successes,
        seeds=(0,),
        success_rate_by_seed=(successes / episodes,),
    )


CELLS = [
    cell("masked", 94),
    cell("unmasked", 31),
    cell("masked", 97, scene="clean"),
    cell("unmasked", 96, scene="clean"),
]
PROVENANCE = Provenance(
    command="python train_policy.py",
    revision="abc123",
    machine="two cores",
    seeds="0",
    when="2026-01-02 03:04",
    versions={"torch": "2"},
    stage_s={"collect": 61.0, "train": 9.0},
    made_at={"Evaluated": ["abc123", "def456"]},
)


@pytest.fixture
def page(tmp_path):
    def write(**changes):
        parts = {
            "title": "Pick",
            "summary": "What was run.",
            "cells": CELLS,
            "figures": [success_figure(CELLS)],
            "strips": [Exhibit(scene="distract", arm="masked", uri=PIXEL, success=False)],
            "videos": [
                Exhibit(
                    scene="distract", arm="masked", uri="data:video/mp4;base64,AA==", success=True
                )
            ],
            "masks": [Exhibit(scene="distract", uri=PIXEL, caption="found")],
            "config_yaml": "env: robosuite",
            "provenance": PROVENANCE,
            "mask_quality": [MaskQuality(scene="distract", frames=50, mean_iou=0.875)],
        }
        file = write_report(tmp_path / "report.html", Page(**parts | changes))
        return file.read_text(encoding="utf-8")

    return write


class Outline(HTMLParser):
    """Collect what a page loads, and check that tags close in the order they opened."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.tags = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [
            value
            for name, value in attrs
            if name in ("src", "href", "xlink:href", "poster", "data")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_loads_nothing_from_outside(page):
    outline = Outline()
    outline.feed(page())
    assert outline.sources
    assert all(source.startswith(("data:", "#")) for source in outline.sources)
    assert not outline.tags & {"script", "link", "iframe", "object"}
    assert "url(http" not in page()


def test_every_tag_closes_in_order(page):
    outline = Outline()
    outline.feed(page())
    assert outline.open == []


def test_the_headline_compares_in_the_scene_that_was_chosen(page):
    assert "In “clean”, “masked” cannot be told apart from “unmasked”: 97% against 96%" in page(
        headline_scene="clean"
    )


def test_every_cell_shows_its_rate_and_interval(page):
    text = re.sub(r"<[^>]+>", " ", page())
    assert re.search(r"94%\s+88–97", text)
    assert re.search(r"31%\s+23–41", text)


def test_text_from_outside_is_escaped(page):
    evil = "<script>alert(1)</script> & co"
    cells = [cell(evil, 5, scene=evil), cell("unmasked", 3, scene=evil)]
    text = page(
        title=evil,
        summary=evil,
        cells=cells,
        figures=[success_figure(cells)],
        config_yaml=evil,
        videos=[Exhibit(scene=evil, arm=evil, caption=evil, uri=PIXEL)],
    )
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") >= 6


def test_sections_without_content_are_left_out(page):
    text = page(figures=[], strips=[], videos=[], masks=[], mask_quality=[])
    assert all(name not in text for name in ('id="watch"', 'id="masks"', 'id="learning"', "<svg"))


def test_wall_time_is_told_per_stage_and_in_total(page):
    text = page()
    assert all(time in text for time in ("1 min 01 s", "9.0 s", "1 min 10 s"))


def test_several_tasks_get_a_table_each(page):
    text = page(
        cells=[*CELLS, cell("masked", 80, task="place"), cell("unmasked", 20, task="place")]
    )
    assert text.count('<table class="success">') == 2


def test_a_condition_that_an_arm_did_not_run_says_so(page):
    assert "not run" in page(cells=[*CELLS, cell("masked", 50, scene="camera")])


def test_a_report_without_episodes_is_refused(page):
    with pytest.raises(InputError, match="got no evaluation cells"):
        page(cells=[])


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.04, "4.0 s"), (42, "42 s"), (725, "12 min 05 s"), (4830, "1 h 20 min")]
)
def test_durations_are_written_for_people(seconds, text):
    assert duration(float(seconds)) == text


def test_a_success_figure_names_arms_scenes_and_values_as_text():
    svg = success_figure(CELLS).svg
    assert all(
        f">{text}<" in svg for text in ("masked", "unmasked", "clean", "distract", "94%", "31%")
    )


def test_figures_take_ink_and_colours_from_the_page():
    svg = success_figure(CELLS).svg
    assert "currentColor" in svg
    assert "var(--arm-0, #0072b2)" in svg
    assert "#010203" not in svg


def test_the_same_cells_make_the_same_figure():
    assert success_figure(CELLS).svg == success_figure(CELLS).svg


def write_log(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_learning_curves_name_every_run_that_has_a_log(tmp_path):
    records = [{"step": step, "loss": 1 / (1 + step), "learning_rate": 1e-3} for step in range(5)]
    logs = {name: write_log(tmp_path / f"{name}.jsonl", records) for name in ("mask", "policy")}
    svg = learning_curves(logs | {"absent": tmp_path / "none.jsonl"}).svg
    assert ">mask<" in svg
    assert ">policy<" in svg
    assert "absent" not in svg


def test_seeds_of_an_arm_share_its_colour(tmp_path):
    log = write_log(
        tmp_path / "log.jsonl",
        [{"step": step, "loss": 1 / (1 + step), "learning_rate": 1e-3} for step in range(3)],
    )
    names = ("mask head", "policy masked seed 0", "policy masked seed 1")
    svg = learning_curves(dict.fromkeys(names, log), arms=["unmasked", "masked"]).svg
    assert {f"--arm-{place}" for place in range(6) if f"--arm-{place}" in svg} == {
        "--arm-1",
        "--arm-2",
    }


def test_of_a_step_that_was_logged_twice_the_last_line_counts(tmp_path):
    once = [{"step": step, "loss": 1.0 + step, "learning_rate": 1e-3} for step in range(4)]
    before_the_kill = [*once[:2], {"step": 2, "loss": 99.0, "learning_rate": 1.0}]
    resumed = write_log(tmp_path / "resumed.jsonl", [*before_the_kill, *once[2:]])
    straight = write_log(tmp_path / "straight.jsonl", once)
    assert learning_curves({"run": resumed}).svg == learning_curves({"run": straight}).svg


def test_the_terminal_table_shows_rates_with_intervals():
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(success_table(CELLS))
    text = console.export_text()
    assert "94% (88–97)" in text
    assert "100 episodes a cell; training seeds 0" in text


@pytest.mark.parametrize(
    ("nothing", "shown"), [(60, "took nothing 60% (50–69)"), (None, "0% (0–4)")]
)
def test_where_nothing_can_succeed_the_table_shows_who_took_nothing(nothing, shown):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(success_table([replace(cell("masked", 0, scene="absent"), took_nothing=nothing)]))
    assert shown in console.export_text()


def test_the_page_says_which_code_made_what_was_there(page):
    assert "<dt>Evaluated at</dt><dd>abc123, def456</dd>" in page()


def test_provenance_tells_the_command_as_it_can_be_typed_again():
    found = gather(
        seeds="0",
        stage_s={},
        now=datetime(2026, 1, 2, 3, 4),
        command=["python", "a.py", "name=two words"],
    )
    assert found.command == "python a.py 'name=two words'"
    assert found.when == "2026-01-02 03:04"
    assert found.versions["numpy"].startswith("1.26")


def test_a_folder_outside_git_has_no_revision(tmp_path):
    assert git_revision(tmp_path) == "not a git checkout"


def test_a_scene_without_the_target_has_no_iou_and_says_so(page):
    text = page(mask_quality=[MaskQuality(scene="absent", frames=50, mean_iou=None)])
    row = re.search(r'<th scope="row">absent</th><td class="number">(.*?)</td>', text)
    assert row is not None and row[1] == "–"
    assert ">nan<" not in text


def test_claims_are_made_against_arms_without_masks(page):
    cells = [*CELLS, cell("masked_blur", 95), cell("masked_blur", 98, scene="clean")]
    text = page(cells=cells, baselines=["unmasked"], headline_scene="distract")
    assert "In “distract”, “masked” beats “unmasked”: 94% against 31%" in text
    assert "Against the strongest arm without masks in each of 2 conditions" in text
    assert "against the strongest arm without masks</th>" in text


def test_without_an_arm_without_masks_all_others_count(page):
    cells = [cell("masked", 94), cell("masked_blur", 60)]
    assert "“masked” beats “masked_blur”" in page(cells=cells)


def test_failures_have_a_gallery(page):
    shown = Exhibit(scene="clean", arm="masked", caption="lift it (episode 3)", uri=PIXEL)
    text = page(failures=[shown])
    assert 'id="failures"' in text and "lift it (episode 3)" in text
    assert 'id="failures"' not in page()


def test_figures_are_drawn_a_second_time_for_phones(page):
    figure = success_figure(CELLS)
    wide, narrow = (
        float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1]) for svg in (figure.svg, figure.narrow)
    )
    assert narrow < 0.6 * wide
    text = page()
    assert '<div class="wide roomy">' in text and '<div class="narrow">' in text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off(page, tmp_path, width):
    scenes = ("clean", "distract", "everything")
    arms = ("masked", "masked_inpaint", "unmasked", "randomised")
    cells = [cell(arm, 40, scene=scene) for arm in arms for scene in scenes]
    text = page(cells=cells, figures=[success_figure(cells)], strips=[], baselines=["unmasked"])
    (tmp_path / "report.html").write_text(re.sub("<meta http-equiv[^>]*>", "", text))
    (tmp_path / "probe.html").write_text(PROBE % width)
    done = subprocess.run(
        ["chromium", *CHROMIUM, f"--user-data-dir={tmp_path}/user", str(tmp_path / "probe.html")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "<pre>all seen</pre>" in done.stdout, done.stdout[-500:]

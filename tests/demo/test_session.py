"""A page's conversation with a station."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from robot.demo import commands as c
from robot.demo.picture import picture_of
from robot.demo.session import Session
from robot.demo.state import Abilities, Found
from robot.types import Goal, InputError, Region
from tests.demo.stations import SIDE, FakeStation, Screen, eventually, no_head, session_of

BOX = (4.0, 4.0, 20.0, 20.0)


def png(height: int = 24, width: int = 48) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 200, np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_goal_is_acted_on_and_said():
    with session_of(FakeStation()) as (session, screen):
        session.submit(c.Go(text=" put  the cup on the plate "))
        eventually(lambda: session.state.success)
        assert [(turn.who, turn.text) for turn in session.state.turns] == [
            ("you", "put the cup on the plate"),
            ("robot", "Done."),
        ]
        assert {state.phase for state in screen.states} == {"loading", "ready", "acting"}
        assert [state.step for state in screen.states if state.status == "Moving"] == [1, 2, 3]
        assert len(screen.views) >= 5  # at first, every step, at the end


def test_a_word_that_counts_for_nothing_is_told_while_the_goal_is_typed():
    found = Found(status="found", outlines=())
    with session_of(FakeStation()) as (session, screen):
        session.station.finds = {"the small cup": (found, "'small' counts"), "a cup": (found, "")}
        session.submit(c.Preview(text="the small cup"))
        eventually(lambda: session.state.status == "'small' counts")
        session.submit(c.Preview(text="a cup"))
        eventually(lambda: session.state.status == "Ready")
        session.submit(c.Go(text="a cup"))
        eventually(lambda: session.state.status == "Done.")
        shown = len(screen.states)
        session.submit(c.Preview(text="a cup"))
        eventually(lambda: len(screen.states) > shown)
        assert session.state.status == "Done."  # a preview without a remark says nothing


def test_stop_ends_it_and_nothing_else_gets_through_meanwhile():
    station = FakeStation(steps=None)
    with session_of(station) as (session, _):
        session.submit(c.Go(text="lift it"))
        assert station.acting.wait(5)
        for command in (c.Go(text="lift it"), c.Arrange(), c.AddBox(camera="wrist", box=BOX)):
            with pytest.raises(InputError, match="press Stop first"):
                session.submit(command)
        session.submit(c.Stop())
        eventually(lambda: session.state.phase == "ready")
        assert session.state.turns[-1].text == "Stopped."


def test_a_stop_that_comes_before_the_goal_has_begun_counts():
    station = FakeStation(steps=None)
    with session_of(station) as (session, _):
        for k in range(20):  # the session is busy with these
            session.submit(c.AddClick(camera="agentview", x=k, y=k, index=9 - k % 9))
        session.submit(c.Go(text="lift it"))
        session.submit(c.Stop())
        eventually(lambda: len(session.state.turns) == 2)
        assert [turn.text for turn in session.state.turns] == ["lift it", "Stopped."]


def test_closing_stops_what_acts():
    station = FakeStation(steps=None)
    with session_of(station) as (session, _):
        session.submit(c.Go(text="lift it"))
        assert station.acting.wait(5)
    assert station.closed


def test_an_arm_moves_only_when_that_is_confirmed():
    station = FakeStation(abilities=Abilities(confirms=True))
    with session_of(station) as (session, _):
        session.submit(c.Go(text="lift it"))
        eventually(lambda: "workspace is clear" in session.state.problem)
        assert station.acted_on == []
        session.submit(c.Go(text="lift it", confirmed=True))
        eventually(lambda: session.state.success)


def test_the_emergency_stop_is_at_the_arm_before_the_session_knows():
    station = FakeStation(steps=None, abilities=Abilities(confirms=True), live_s=0.01)
    with session_of(station) as (session, _):
        session.submit(c.Go(text="lift it", confirmed=True))
        assert station.acting.wait(5)
        session.submit(c.EmergencyStop())
        assert station.estopped  # at once
        eventually(lambda: session.state.phase == "ready")
        eventually(lambda: session.state.estopped == "pressed on the page")
        session.submit(c.Release())
        eventually(lambda: not session.state.estopped)


def test_regions_that_a_text_names_go_with_it():
    station = FakeStation()
    with session_of(station) as (session, _):
        session.submit(c.AddBox(camera="agentview", box=(20.0, 20.0, 4.0, 4.0)))
        session.submit(c.AddClick(camera="wrist", x=3.0, y=5.0))
        session.submit(c.AddBox(camera="wrist", box=BOX, index=1))
        eventually(lambda: len(session.state.regions) == 3)
        session.submit(c.Go(text="pick up <region1>"))
        eventually(lambda: session.state.success)
        in_both = (Region("agentview", box=BOX), Region("wrist", box=BOX))
        assert station.acted_on == [Goal("pick up <region1>", in_both)]
        session.submit(c.Go(text="lift the red cup"))
        eventually(lambda: len(station.acted_on) == 2)
        assert station.acted_on[1].regions == ()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (c.Go(text="  "), "got no goal"),
        (c.Go(text="put <region1> on region 2"), "got region 1"),
        (c.AddBox(camera="rear", box=BOX), "got camera 'rear', expected one of agentview, wrist"),
        (c.AddBox(camera="wrist", box=(4.0, 4.0, 5.0, 5.0)), "got a box of 1 x 1 px"),
        (c.Arrange(scene="nowhere"), "got scene nowhere"),
        (c.Ask(text="what is region 1?"), "no weights here that read regions"),
        (c.Picture(b"no picture"), "got a file that is no picture"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_until_something_can(command, said):
    with session_of(FakeStation()) as (session, _):
        session.submit(command)
        eventually(lambda: said in session.state.problem)
        assert session.state.phase == "ready"
        session.submit(c.Remove())
        eventually(lambda: not session.state.problem)


def test_a_failure_of_ours_keeps_its_traceback_in_the_log(caplog):
    station = FakeStation(error=RuntimeError("secret detail"))
    with session_of(station) as (session, _):
        session.submit(c.Go(text="lift it"))
        eventually(lambda: session.state.phase == "ready" and session.state.problem)
        assert "secret" not in session.state.problem and "error" in session.state.problem
        assert "secret detail" in caplog.text
        station.error = None
        session.submit(c.Go(text="lift it"))
        eventually(lambda: session.state.success)


def test_another_scene_starts_over():
    with session_of(FakeStation()) as (session, _):
        session.submit(c.AddBox(camera="wrist", box=BOX))
        session.submit(c.Arrange(episode=4, scene="messy"))
        eventually(lambda: session.state.choice.episode == 4)
        assert session.state.choice.scene == "messy" and session.state.choice.seed == 7
        assert session.state.regions == ()


def test_a_picture_is_shown_drawn_on_and_left():
    with session_of(FakeStation()) as (session, screen):
        session.submit(c.Picture(png()))
        eventually(lambda: session.state.source == "picture")
        assert list(screen.views[-1]) == ["picture"]
        session.submit(c.AddBox(camera="picture", box=(1.0, 1.0, 40.0, 20.0)))
        eventually(lambda: session.state.regions)
        session.submit(c.Go(text="lift it"))
        eventually(lambda: "a picture has no arm" in session.state.problem)
        session.submit(c.Leave())
        eventually(lambda: session.state.source == "simulated")
        assert session.state.regions == ()


def test_a_station_that_cannot_be_set_up_ends_the_session():
    class Broken(FakeStation):
        def prepare(self) -> None:
            raise InputError("got no arm at the port")

    station, screen = Broken(), Screen()
    session = Session(lambda: station, pictures=no_head, reading=lambda: None, screen=screen)
    session.start()
    eventually(lambda: not session.alive)
    assert str(session.failure) == "got no arm at the port" and station.closed


def test_pictures_of_any_kind_become_upright_rgb():
    assert picture_of(png(24, 48)).shape == (24, 48, 3)
    grey = io.BytesIO()
    Image.new("LA", (3000, 1500), (100, 10)).save(grey, "PNG")
    assert picture_of(grey.getvalue()).shape == (512, 1024, 3)
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (48, 24)).save(turned, "JPEG", exif=exif)
    assert picture_of(turned.getvalue()).shape == (48, 24, 3)
    for broken in (png()[:60], b"", png(8, 8)):
        with pytest.raises(InputError, match="expected"):
            picture_of(broken)


def test_live_cameras_are_shown_at_rest():
    with session_of(FakeStation(live_s=0.01)) as (_, screen):
        eventually(lambda: len(screen.views) > 5)
        assert screen.views[-1]["wrist"].shape == (SIDE, SIDE, 3)

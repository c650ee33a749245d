"""What devices send, as motion and buttons; hand-over without a jump. All of it pure."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import yaml

from robot.errors import InputError
from robot.hardware.teleop import gamepad, spacemouse
from robot.hardware.teleop.blend import HandOver, blend, share_of
from robot.hardware.teleop.gamepad import GamepadOptions, Pad
from robot.hardware.teleop.keys import KeyboardOptions, Pressed, keys_of, stops
from robot.hardware.teleop.motion import shaped
from robot.hardware.teleop.operator import Button, OperatorInput, action_of
from robot.hardware.teleop.registry import OPERATORS, make_operator
from robot.hardware.teleop.spacemouse import (
    Cap,
    SpaceMouseOptions,
    Toggles,
    is_mouse,
    pressed,
    with_report,
)
from robot.system.parse import parse

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "teleop"


def section(kind: str, **changes: object) -> dict:
    values = yaml.safe_load((CONFIGS / f"{kind}.yaml").read_text())
    return {name: value for name, value in {**values, **changes}.items() if name != "kind"}


KEYS = parse(KeyboardOptions, section("keyboard"))
MOUSE = parse(SpaceMouseOptions, section("spacemouse", dead_zone=0.0))
PAD = parse(GamepadOptions, section("gamepad", dead_zone=0.0))


# --- keys of a terminal


@pytest.mark.parametrize(
    ("data", "keys", "rest"),
    [
        (b"wW\r\n", ("w", "W", "enter", "enter"), b""),
        (b"\x1b[A\x1bOB\x1b[1;5C\x1b[D", ("up", "down", "right", "left"), b""),
        (b"\x1b[3~w", ("w",), b""),  # Delete is nothing
        (b"w\x1b", ("w",), b"\x1b"),
        (b"w\x1b[1;", ("w",), b"\x1b[1;"),
        (b"\x1bw", ("escape", "w"), b""),  # Alt+w
        (b"\x1b\x1b[A", ("escape", "up"), b""),
        (b"\x1b[ ", (" ",), b""),
        (b"\x1b[1 A", ("up", " "), b""),
        ("ü".encode(), ("ü",), b""),
        (b"\xff\xfe", (), b""),
    ],
)
def test_bytes_of_a_terminal_are_keys(data, keys, rest):
    assert keys_of(data) == (keys, rest)


def test_the_stop_key_is_found_in_whatever_comes_with_it():
    generator = np.random.default_rng(0)
    likely = np.frombuffer(b"\x1b[O1;~wasd\xe2\xc3\x00", np.uint8)
    for _ in range(600):
        chunks = [
            generator.choice(likely, generator.integers(0, 6)).astype(np.uint8).tobytes()
            for _ in range(4)
        ]
        where = int(generator.integers(0, 4))
        cut = int(generator.integers(0, len(chunks[where]) + 1))
        chunks[where] = chunks[where][:cut] + b" " + chunks[where][cut:]
        rest, stopped = b"", False
        for number, chunk in enumerate(chunks):
            keys, rest = keys_of(rest + chunk)
            stopped |= any(stops(key, options=KEYS) for key in keys)
            assert number < where or stopped, chunks  # in the same read, not a later one


def test_a_key_moves_for_as_long_as_it_is_held():
    state = Pressed().with_key("w", time_s=1.0, options=KEYS)
    state = state.with_key("j", time_s=1.1, options=KEYS)
    now = state.as_input(time_s=1.12, options=KEYS)
    np.testing.assert_allclose(now.velocity, [0.1, 0, 0, 0, 0, 0.5])
    later = state.as_input(time_s=1.2, options=KEYS)
    np.testing.assert_allclose(later.velocity, [0, 0, 0, 0, 0, 0.5])
    assert not state.as_input(time_s=2.0, options=KEYS).is_moving


def test_the_opposite_key_turns_a_motion_round_at_once():
    state = Pressed().with_key("w", time_s=1.0, options=KEYS)
    state = state.with_key("s", time_s=1.01, options=KEYS)
    assert state.as_input(time_s=1.02, options=KEYS).velocity[0] == pytest.approx(-0.1)


@pytest.mark.parametrize("key", [" ", "escape"])
def test_stop_ends_all_motion_and_is_given_once(key):
    state = (
        Pressed().with_key("w", time_s=1.0, options=KEYS).with_key(key, time_s=1.0, options=KEYS)
    )
    now = state.as_input(time_s=1.0, options=KEYS)
    assert now.buttons == {Button.STOP} and not now.is_moving
    assert state.polled().as_input(time_s=1.0, options=KEYS).buttons == frozenset()


def test_buttons_and_gripper_of_the_keyboard():
    state = Pressed()
    for key in ("t", "[", "1", "enter", "Q"):
        state = state.with_key(key, time_s=1.0, options=KEYS)
    now = state.as_input(time_s=1.0, options=KEYS)
    assert now.buttons == {Button.TAKE_OVER, Button.SUCCESS, Button.CONFIRM}
    assert now.gripper == 0.0
    assert state.with_key("]", time_s=1.0, options=KEYS).gripper == 1.0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"x_plus": "w", "x_minus": "w"}, "got key 'w' for more than one thing"),
        ({"confirm": " "}, "got key ' ' for more than one thing"),
        ({"jump": "w"}, "got teleop.keys.jump, expected some of"),
    ],
)
def test_keys_that_cannot_be_are_one_sentence(keys, message):
    with pytest.raises(InputError) as raised:
        parse(KeyboardOptions, section("keyboard", keys=keys))
    assert message in str(raised.value)


# --- SpaceMouse


def report(number: int, *values: int) -> bytes:
    return bytes([number]) + struct.pack(f"<{len(values)}h", *values)


def test_reports_of_older_models_come_in_two():
    cap = with_report(Cap(), report(1, 350, -175, 0))
    cap = with_report(cap, report(2, 0, 70, -350))
    np.testing.assert_allclose(cap.translation, [1, -0.5, 0])
    np.testing.assert_allclose(cap.rotation, [0, 0.2, -1])


def test_reports_of_newer_models_come_in_one():
    cap = with_report(Cap(), report(1, 350, -175, 0, 35, 0, -400))
    np.testing.assert_allclose(cap.translation, [1, -0.5, 0])
    np.testing.assert_allclose(cap.rotation, [0.1, 0, -1])


def test_a_published_report_of_a_space_navigator():
    """x 0x0013 = 19, y 0xffe4 = -28, z 0xff60 = -160, in the order of bytes of the wire."""
    cap = with_report(Cap(), bytes.fromhex("01 13 00 e4 ff 60 ff"))
    np.testing.assert_allclose(cap.translation * 350, [19, -28, -160])


def test_buttons_are_bits():
    assert with_report(Cap(), bytes([3, 0b10, 0])).buttons == {1}
    assert with_report(Cap(), bytes([3, 1, 0, 0, 0x80])).buttons == {0, 31}
    assert with_report(Cap(buttons=frozenset({1})), bytes([3, 0, 0])).buttons == frozenset()


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x02\x03", b"\x03", b"\x17\x64", bytes(64)])
def test_reports_that_are_unknown_or_cut_off_change_nothing(data):
    cap = with_report(Cap(), report(1, 350, 0, 0))
    assert with_report(cap, data) is cap


def test_pushing_away_left_and_up_moves_away_left_and_up():
    for values, axis in (((0, -350, 0), 0), ((-350, 0, 0), 1), ((0, 0, -350), 2)):
        velocity = spacemouse.velocity_of(with_report(Cap(), report(1, *values)), MOUSE)
        np.testing.assert_allclose(velocity, 0.15 * np.eye(6)[axis], atol=1e-12)
        velocity = spacemouse.velocity_of(with_report(Cap(), report(2, *values)), MOUSE)
        np.testing.assert_allclose(velocity, 0.6 * np.eye(6)[3 + axis], atol=1e-12)


def test_the_caps_axes_are_those_of_the_base_turned_and_not_mirrored():
    assert np.linalg.det(spacemouse.T_BASE_CAP) == pytest.approx(1.0)


def test_one_button_closes_and_opens_another_takes_over_and_hands_back():
    toggles, given = Toggles(), []
    for button in (0, 0, 1, 1):
        buttons, toggles = pressed(frozenset(), frozenset({button}), toggles, MOUSE)
        given.append((buttons, toggles.gripper))
    assert given == [
        (frozenset(), 0.0),
        (frozenset(), 1.0),
        ({Button.TAKE_OVER}, 1.0),
        ({Button.HAND_BACK}, 1.0),
    ]


def test_both_buttons_stop_once_while_they_are_held():
    one, both = frozenset({0}), frozenset({0, 1})
    assert pressed(one, both, Toggles(), MOUSE)[0] == {Button.STOP}
    assert pressed(both, both, Toggles(), MOUSE)[0] == frozenset()


def test_a_mouse_is_told_from_the_makers_other_devices():
    entry = {"vendor_id": 0x256F, "product_id": 0xC635, "usage_page": 1, "usage": 8}
    assert is_mouse(entry)
    assert not is_mouse({**entry, "usage_page": 0x0C})
    assert is_mouse({**entry, "vendor_id": 0x046D, "product_id": 0xC626})
    assert not is_mouse({**entry, "vendor_id": 0x046D, "product_id": 0xC52B})  # a receiver


class FakeHid:
    """hidapi's device: reports, then nothing, then unplugged."""

    def __init__(self, *reports):
        self.reports, self.closed = list(reports), False

    def read(self, size):
        item = self.reports.pop(0)
        if isinstance(item, Exception):
            raise item
        return list(item)

    def close(self):
        self.closed = True


def test_a_mouse_that_is_unplugged_stops():
    stops = []
    operator = spacemouse.SpaceMouseOperator(MOUSE, on_stop=lambda: stops.append(1))
    device = FakeHid(report(1, 0, -350, 0), bytes([3, 2]), b"", OSError("read error"))
    operator._device = device
    moving = operator.poll()
    assert moving.velocity[0] > 0 and moving.buttons == {Button.TAKE_OVER} and not stops
    lost = operator.poll()
    assert lost.buttons == {Button.STOP} and not lost.is_moving and stops == [1]
    assert device.closed and operator.poll().buttons == frozenset()


# --- gamepad


def test_sticks_and_cross_move_the_arm():
    pad = Pad(axes=(0.0, -1.0, 0.0, 1.0, 0.5), hat=(1, -1))
    velocity = gamepad.velocity_of(pad, PAD)
    np.testing.assert_allclose(velocity, [0.15, 0, -0.15 * 0.25, 0.6, -0.6, -0.6])


def test_a_pad_with_fewer_sticks_is_at_rest_where_it_has_none():
    assert not gamepad.velocity_of(Pad(axes=(0.0,)), PAD).any()


def test_an_axis_is_at_rest_within_the_dead_zone():
    assert gamepad.at_rest(Pad(axes=(0.0, -1.0, 0.1, 0.2)), dead_zone=0.1) == {0, 2}


def test_a_dead_zone_is_still_and_its_edge_smooth():
    values = np.array([-1.0, -0.1, 0.05, 0.101, 0.55, 1.0])
    expected = [-1.0, 0.0, 0.0, 0.0, 0.25, 1.0]
    np.testing.assert_allclose(shaped(values, dead_zone=0.1), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {"w": 1}}, "got w in teleop.axes"),
        ({"inverted": ["rx"]}, "got rx in teleop.inverted"),
        ({"buttons": {"stop": 1, "jump": 2}}, "got jump in teleop.buttons"),
        ({"buttons": {"confirm": 1}}, "got teleop.buttons without stop"),
    ],
)
def test_a_pad_that_cannot_be_is_one_sentence(changes, message):
    with pytest.raises(InputError, match=message):
        parse(GamepadOptions, section("gamepad", **changes))


# --- registry


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_makes_its_operator(path):
    operator = make_operator(yaml.safe_load(path.read_text()), on_stop=lambda: None)
    assert operator.help and not operator.poll().is_moving
    operator.close()


def test_every_operator_has_a_config():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(OPERATORS)


def test_an_unknown_device_is_one_sentence():
    with pytest.raises(InputError, match="got teleop 'joypad', expected one of keyboard"):
        make_operator({"kind": "joypad"}, on_stop=lambda: None)


@pytest.mark.parametrize(("kind", "package"), [("gamepad", "pygame"), ("spacemouse", "hidapi")])
def test_a_missing_library_names_the_extra(kind, package, monkeypatch):
    def missing(name):
        raise ImportError(name)

    operator = make_operator(
        yaml.safe_load((CONFIGS / f"{kind}.yaml").read_text()), on_stop=lambda: None
    )
    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(InputError, match=rf"without the package {package}.*\[teleop\]"):
        operator.connect()


# --- actions and hand-over


def test_a_velocity_is_a_step_of_the_env_api():
    person = OperatorInput(0.0, velocity=np.array([0.1, 0, -0.2, 0, 0.5, 0]))
    action = action_of(person, control_dt_s=0.05, gripper=0.7)
    np.testing.assert_allclose(action, [0.005, 0, -0.01, 0, 0.025, 0, 0.7])
    closed = OperatorInput(0.0, gripper=0.0)
    assert action_of(closed, control_dt_s=0.05, gripper=0.7)[6] == 0.0


LIMIT = np.array([0.01, 0.1], np.float32)
AGENT, PERSON = np.array([0.05, 1.0], np.float32), np.array([-0.05, 0.0], np.float32)


def test_a_blend_begins_with_the_old_hand_and_ends_with_the_new():
    wide = np.array([1.0, 1.0], np.float32)
    for to, old, new in (("operator", AGENT, PERSON), ("agent", PERSON, AGENT)):
        values = {"to": to, "blend_s": 0.4, "previous": old, "step_limit": wide}
        np.testing.assert_array_equal(blend(AGENT, PERSON, 0.0, **values), old)
        np.testing.assert_allclose(blend(AGENT, PERSON, 0.2, **values), (old + new) / 2, atol=1e-7)
        np.testing.assert_array_equal(blend(AGENT, PERSON, 0.4, **values), new)


def test_a_share_has_no_corner():
    shares = [share_of(t, blend_s=1.0) for t in (0.0, 0.01, 0.5, 0.99, 1.0, 5.0)]
    np.testing.assert_allclose(shares, [0, 3e-4, 0.5, 1 - 3e-4, 1, 1], atol=1e-5)
    assert share_of(0.0, blend_s=0.0) == 1.0


def test_no_change_of_hands_makes_a_jump():
    """Hands change at random, also in the middle of a blend, and both hands want anything."""
    generator = np.random.default_rng(0)
    for _ in range(40):
        hands = HandOver(blend_s=0.2, step_limit=LIMIT)
        hand, before = "agent", None
        agent, person = AGENT.copy(), PERSON.copy()
        for step in range(40):
            changes = generator.random() < 0.15
            if changes:
                hand = "operator" if hand == "agent" else "agent"
                agent, person = generator.uniform(-0.3, 0.3, (2, 2)).astype(np.float32)
            sent = hands.action(agent, person, hand=hand, now_s=0.05 * step)
            if before is not None:
                assert (np.abs(sent - before) <= LIMIT + 1e-6).all()
            before = sent


def test_after_a_change_of_hands_the_new_hand_passes_unchanged():
    hands = HandOver(blend_s=0.2, step_limit=LIMIT)
    hands.action(AGENT, PERSON, hand="agent", now_s=0.0)
    for step in range(1, 30):
        sent = hands.action(AGENT, PERSON, hand="operator", now_s=0.05 * step)
    np.testing.assert_array_equal(sent, PERSON)
    assert not hands.is_changing
    jerk = PERSON + 0.5
    np.testing.assert_array_equal(hands.action(AGENT, jerk, hand="operator", now_s=2.0), jerk)


def test_a_person_can_take_over_from_a_policy_that_has_crashed():
    broken = np.full(2, np.nan, np.float32)
    hands = HandOver(blend_s=0.2, step_limit=LIMIT)
    hands.action(AGENT, PERSON, hand="agent", now_s=0.0)
    for step in range(1, 30):
        sent = hands.action(broken, PERSON, hand="operator", now_s=0.05 * step)
        assert np.isfinite(sent).all()
    np.testing.assert_array_equal(sent, PERSON)
    with pytest.raises(ValueError, match="as the action of the agent"):
        hands.action(broken, PERSON, hand="agent", now_s=2.0)

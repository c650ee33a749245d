import sys

import pytest

from launch.command_line import hydra_command
from launch.composition import QUIET, with_quiet
from robot.types import InputError

MAIN = (
    "defaults:\n  - env: lift\n  - _self_\nsteps: 3\ndata: ???\ndouble: ${steps}\nrate: "
    "0.5\nscenes: [clean]\nname: null\n"
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command with the given arguments in an empty directory and return the config it was
    given.
    """
    (tmp_path / "configs/env").mkdir(parents=True)
    (tmp_path / "configs/main.yaml").write_text(MAIN)
    (tmp_path / "configs/env/lift.yaml").write_text("name: lift\n")
    (tmp_path / "configs/env/stack.yaml").write_text("name: stack\n")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def run(*arguments):
        seen, worked = [], []

        @hydra_command("main", configs=tmp_path / "configs")
        def main(config):
            seen.append(config)
            if config.name == "nobody":
                raise InputError(f"got name {config.name}, expected somebody; pass name=somebody")
            return lambda: worked.append(config)

        monkeypatch.setattr(sys, "argv", ["main", *arguments])
        main()
        assert worked == seen
        return worked[-1]

    return run


def refusal(run, capsys, *arguments):
    """Return what a refused command says; it must be one line and exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1, said
    return said


def test_overrides_reach_the_command(run):
    config = run("env=stack", "data=here", "steps=5")
    assert (config.env.name, config.data, config.double) == ("stack", "here", 5)


def test_hydra_leaves_nothing_in_the_working_directory(run, tmp_path):
    run("data=here")
    assert list((tmp_path / "cwd").iterdir()) == []


def test_unknown_group_option_names_the_valid_choices(run, capsys):
    assert "got env=foo, expected one of lift, stack" in refusal(
        run, capsys, "env=foo", "data=here"
    )


def test_unknown_key_names_the_valid_keys(run, capsys):
    assert (
        "got stepz, which the config does not have, expected one of data, double, env, name, rate, "
        "scenes, steps" in refusal(run, capsys, "stepz=1", "data=here")
    )


def test_missing_value_says_what_to_add(run, capsys):
    assert "add data=... to the command" in refusal(run, capsys)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("steps=abc", "got steps=abc, expected a whole number such as steps=3"),
        ("steps=2.5", "got steps=2.5, expected a whole number such as steps=3"),
        ("rate=fast", "got rate=fast, expected a number such as rate=0.5"),
        ("scenes=messy", "got scenes=messy, expected a list such as 'scenes=[clean]'"),
    ],
)
def test_a_value_of_another_kind_is_refused(run, capsys, override, said):
    assert said in refusal(run, capsys, override, "data=here")


@pytest.mark.parametrize(
    ("override", "value"),
    [("rate=1", 1), ("name=5", 5), ("scenes=[messy]", ["messy"])],
)
def test_a_whole_number_is_a_number(run, override, value):
    assert run(override, "data=here")[override.partition("=")[0]] == value


def test_broken_override_is_quoted_back(run, capsys):
    assert "got steps=[1, expected key=value" in refusal(run, capsys, "steps=[1", "data=here")


def test_input_error_of_the_command_is_said_once(run, capsys):
    assert "error: got name nobody" in refusal(run, capsys, "name=nobody", "data=here")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("steps=0", "got steps=0, expected at least 1"),
        ("+env.steps=-0.5", "got env.steps=-0.5, expected above 0"),
        ("rate=null", "got rate=null, expected a number such as rate=0.5"),
        ("rate=nan", "got rate=nan, expected a finite number"),
        ("scenes=[a,a]", "got scenes with a twice, expected each once"),
        ("+stepz=1", "got stepz, which the config does not have"),
        ("~rate", "got no rate, expected a value"),
        ("+env.seed=-1", "got env.seed=-1, expected 0 or above"),
    ],
)
def test_a_number_out_of_range_is_refused_wherever_it_stands(run, capsys, override, said):
    assert said in refusal(run, capsys, override, "data=here")


def test_a_sweep_checks_every_job_before_the_first_one_works(run, capsys, tmp_path):
    assert "got name nobody" in refusal(run, capsys, "-m", "name=anna,nobody", "data=here")
    assert run("-m", "name=anna,berta", "data=here").name == "berta"
    assert list((tmp_path / "cwd").iterdir()) == []


def test_quiet_overrides_stand_beside_those_of_the_person():
    quiet = [*QUIET, "hydra.sweep.dir=away"]
    assert with_quiet(["-m", "env=a,b", "--info"], sweep="away") == [
        "-m",
        *quiet,
        "env=a,b",
        "--info",
    ]
    assert with_quiet(["--cfg", "job"], sweep="away") == [*quiet, "--cfg", "job"]

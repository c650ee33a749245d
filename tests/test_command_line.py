import sys

import pytest

from launch.command_line import hydra_command
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
    (tmp_path / "configs/robot").mkdir()  # a group of other commands
    (tmp_path / "configs/robot/arm.yaml").write_text("name: arm\n")
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


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("steps=[1", "got steps=[1, expected a value that can be read; close its brackets"),
        ("steps='a", "got steps='a, expected a value that can be read"),
        ("env.=3", "got env.=3, expected key=value; write env=3"),
        ("/env=lift", "got /env=lift, expected key=value; write env=lift"),
        ("steps==3", "got steps==3, expected key=value; write steps=3"),
        ("=3", "got =3, expected key=value"),
        ("steps", "got steps, expected key=value; write steps=..."),
        ("--steps=4", "got --steps=4, expected options as key=value without dashes; write steps=4"),
        ("--config-name=other", "without dashes"),
        ("--cfg=foo", "got --cfg=foo, expected one of job, hydra, all"),
        ("--package=", "got --package=, expected a section"),
        ("--package=steps=3", "got --package=steps=3, expected a section"),
        ("--package=env", "got --package without --cfg, expected both; add --cfg job"),
        ("--resolve", "got --resolve without --cfg, expected both; add --cfg job"),
        ("--", "expected options as key=value without dashes; write seed=..."),
    ],
)
def test_what_is_no_override_is_quoted_back(run, capsys, argument, said):
    assert said in refusal(run, capsys, "data=here", argument)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("env=lfit", "got env=lfit, expected one of lift, stack; did you mean lift?"),
        ("env=Stack", "expected one of lift, stack; did you mean stack?"),
        ("+env=stack", "got +env=stack, expected a choice of env; write env=<one of lift, stack>"),
        ("env=null", "got no env, expected a value; do not remove it"),
        ("env=3", "got env=3, expected one of lift, stack"),
        ("~env=3", "got ~env=3, expected a choice of env; write env=<one of lift, stack>"),
        ("env=[lfit]", "got env=[lfit], expected one of lift, stack; did you mean lift?"),
        ("env@here=lift", "got env@here=lift, expected key=value; write it without @here"),
        (
            "envv=lift",
            "got envv, which the config does not have, expected one of data, double, env",
        ),
        ("envv=lift", "did you mean env?"),
        ("env/name=lift", "got env/name, which the config does not have"),
        ("robot=arm", "and this command chooses no robot, expected a choice of env; leave robot"),
        ("~stepz", "got stepz, which the config does not have"),
        ("+steps=4", "got +steps=4, and steps is there already; write it without +"),
        ("steps.many=4", "got steps.many, and steps has no options"),
        ("env.nam=x", "got env.nam, which the config does not have, expected one of name; did you"),
        ("steps=1,2", "got steps=1,2, which is several values, expected one; write 'steps=[1,2]'"),
        ("hydra.foo=1", "got hydra, which the config does not have"),
        ("steps=${stepz}", "got steps with a reference that leads nowhere"),
    ],
)
def test_an_override_of_what_the_command_does_not_have_is_one_sentence(run, capsys, override, said):
    assert said in refusal(run, capsys, override, "data=here")


def test_a_sweep_is_not_shown(run, capsys):
    said = refusal(run, capsys, "data=here", "-m", "--cfg", "job")
    assert "got -m beside --cfg, expected one of the two; leave -m out" in said


def test_flags_stand_anywhere(run, capsys):
    assert run("data=here", "-m", "steps=4").steps == 4
    with pytest.raises(IndexError):  # it prints, and does not work
        run("data=here", "--cfg", "job", "steps=4")
    assert "steps: 4" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (["teleop=keyboard"], "got teleop.kindd, which the config does not have, expected one of"),
        ([], "got teleop.kindd=hand without a choice of teleop, expected one first; add teleop="),
    ],
)
def test_options_are_those_of_what_was_chosen(monkeypatch, capsys, choices, said):
    from launch import deploy

    monkeypatch.setattr(sys, "argv", ["deploy", "robot=simulated", *choices, "teleop.kindd=hand"])
    with pytest.raises(SystemExit) as stopped:
        deploy.main()
    assert stopped.value.code == 2 and said in capsys.readouterr().err

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib

import pytest

from launch import environment
from tools import setup

ROOT = setup.REPOSITORY
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEWEST = setup.dotted(setup.SUPPORTED[-1])


def fake_python(path, *, version):
    """Write an executable that answers `--check` and `-c` as a Python of this version would."""
    supported = version in setup.SUPPORTED
    path.write_text(
        f"#!/bin/sh\n[ $# = 1 ] || exit {0 if supported else 2}\necho ran {path.name}\n"
    )
    path.chmod(0o755)


def make(*arguments, path):
    """Run make with these first on PATH, in a folder that has no .venv."""
    return subprocess.run(
        ["make", "-f", ROOT / "Makefile", *arguments],
        cwd=path,
        env={"PATH": f"{path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("version", setup.SUPPORTED)
def test_supported_python_is_accepted(version, capsys):
    setup.require_supported(version)  # does not exit
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 13)])
def test_other_python_exits_2_with_one_sentence_that_names_the_way(version, capsys):
    with pytest.raises(SystemExit) as stopped:
        setup.require_supported(version)
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1
    assert f"got Python {setup.dotted(version)}" in said and "expected 3.11 or 3.12" in said
    assert f"uv python install {NEWEST}" in said and f"PYTHON=python{NEWEST}" in said


def test_setup_and_the_commands_support_the_same_pythons():
    assert setup.SUPPORTED is environment.SUPPORTED


def test_setup_runs_as_a_file_where_nothing_is_installed(tmp_path):
    """Its own folder is then all that is on the path."""
    command = [sys.executable, "-I", "-S", ROOT / "tools/setup.py", "--check"]
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_setup_parses_on_python_3_8():
    assert ast.parse((ROOT / "tools/setup.py").read_text(), feature_version=(3, 8)).body


def test_project_metadata_names_the_supported_pythons():
    oldest, (major, minor) = setup.SUPPORTED[0], setup.SUPPORTED[-1]
    assert PROJECT["requires-python"] == f">={setup.dotted(oldest)},<{major}.{minor + 1}"
    assert {c.rpartition(" ")[2] for c in PROJECT["classifiers"]} == {
        setup.dotted(version) for version in setup.SUPPORTED
    }


def test_venv_package_follows_the_running_python():
    wanted = f"python{setup.dotted(setup.RUNNING)}-venv"
    assert [name for name in setup.SYSTEM_PACKAGES if name.endswith("-venv")] == [wanted]


def test_make_skips_a_python_that_does_not_run_or_is_not_supported(tmp_path):
    (tmp_path / "python3.12").write_text("#!/bin/sh\nexit 127\n")  # as a pyenv shim does
    (tmp_path / "python3.12").chmod(0o755)
    fake_python(tmp_path / "python3", version=(3, 10))
    fake_python(tmp_path / "python3.11", version=(3, 11))
    assert make("setup", path=tmp_path).stdout == "ran python3.11\n"


def test_make_keeps_the_python_of_an_existing_venv(tmp_path):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    fake_python(tmp_path / ".venv/bin/python", version=(3, 11))
    fake_python(tmp_path / "python3.12", version=(3, 12))
    assert make("setup", path=tmp_path).stdout == "ran python\n"


def test_make_says_that_the_named_python_does_not_run(tmp_path):
    answer = make("setup", "PYTHON=python3.99", path=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.startswith("setup: got PYTHON=python3.99, which does not run")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with a .venv of another Python; installing is recorded, not done."""
    venv, done = tmp_path / ".venv", []
    (venv / "bin").mkdir(parents=True)
    (venv / "of_the_other_python").touch()
    monkeypatch.setattr(setup, "VENV", venv)
    monkeypatch.setattr(setup, "STAMP", venv / ".installed")
    monkeypatch.setattr(setup, "venv_python", lambda: (3, 9))
    monkeypatch.setattr(setup, "cpu_index_options", list)
    monkeypatch.setattr(setup, "compile_imports", lambda: None)
    monkeypatch.setattr(setup, "pip", lambda arguments: done.append(arguments[-1]))
    monkeypatch.setattr(
        setup.subprocess,
        "run",
        lambda command, **_: venv.mkdir(exist_ok=True) or done.append("venv"),
    )
    return venv, done


def test_venv_of_another_python_is_made_anew(checkout):
    venv, done = checkout
    setup.install_environment()
    assert done == ["venv", "torch==2.13.0", str(setup.LOCK), str(ROOT)]
    assert not (venv / "of_the_other_python").exists()


def test_every_phase_prints_a_line_with_its_seconds(checkout, capsys):
    setup.install_environment()
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r"setup: +\d+ s  \w", line) for line in lines)
    assert [line.split()[3:5] for line in lines] == [
        ["creating", ".venv"],
        ["installing", "torch==2.13.0"],
        ["installing", "the"],
        ["installing", "this"],
        ["compiling", "what"],
        ["done"],
    ]


def test_installed_environment_is_left_alone(checkout, monkeypatch):
    _, done = checkout
    setup.install_environment()
    done.clear()
    monkeypatch.setattr(setup, "venv_python", lambda: setup.RUNNING)
    setup.install_environment()
    assert done == []


def test_changed_lock_is_installed_into_the_same_venv(checkout, monkeypatch):
    venv, done = checkout
    (venv / ".installed").write_text("digest of an older lock")
    monkeypatch.setattr(setup, "venv_python", lambda: setup.RUNNING)
    setup.install_environment()
    assert done == ["torch==2.13.0", str(setup.LOCK), str(ROOT)]


def test_linked_venv_of_another_python_is_not_deleted(checkout, tmp_path, capsys):
    venv, done = checkout
    venv.rename(tmp_path / "elsewhere")
    venv.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SystemExit) as stopped:
        setup.install_environment()
    assert stopped.value.code == 2 and (tmp_path / "elsewhere/of_the_other_python").exists()
    assert "remove the link" in capsys.readouterr().err and done == []


@pytest.fixture
def without_egl(monkeypatch):
    monkeypatch.setattr(setup.sys, "platform", "linux")
    monkeypatch.setattr(
        setup, "SYSTEM_PACKAGES", {"libegl1": lambda: False, "libgl1": lambda: True}
    )


def test_missing_library_tells_a_user_the_command_and_exits_2(without_egl, monkeypatch, capsys):
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as stopped:
        setup.install_system_packages()
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1
    assert (
        "sudo bash -c 'apt-get update && apt-get install -y --no-install-recommends libegl1'"
        in said
    )


def test_missing_library_is_installed_by_root_with_apt(without_egl, monkeypatch):
    commands = []

    def apt(command, **_):
        commands.append(command[-1])
        monkeypatch.setattr(setup, "SYSTEM_PACKAGES", {"libegl1": lambda: True})
        return setup.subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(setup.os, "geteuid", lambda: 0)
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(setup.subprocess, "run", apt)
    setup.install_system_packages()
    assert commands == ["apt-get update && apt-get install -y --no-install-recommends libegl1"]


def test_a_silent_cpu_index_is_left_out_rather_than_failing(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup.urllib.request, "urlopen", refuse)
    assert setup.cpu_index_options() == []


def test_a_gpu_machine_takes_the_default_torch(monkeypatch):
    monkeypatch.setattr(setup.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert setup.cpu_index_options() == []


def test_torch_is_installed_at_the_locked_version():
    assert setup.locked("torch") == "torch==2.13.0"


def test_imports_are_compiled_even_where_python_is_told_not_to(tmp_path, monkeypatch):
    (tmp_path / "slow_to_compile.py").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(setup, "VENV", tmp_path)
    monkeypatch.setattr(setup, "IMPORTED", ("slow_to_compile",))
    setup.compile_imports()
    assert list(tmp_path.glob("__pycache__/slow_to_compile.*.pyc"))


def test_every_module_to_compile_exists():
    missing = [name for name in setup.IMPORTED if importlib.util.find_spec(name) is None]
    assert missing == []


def test_venv_that_links_to_itself_is_named(checkout, tmp_path, monkeypatch, capsys):
    venv, _ = checkout
    venv.rename(tmp_path / "elsewhere")
    venv.symlink_to(venv)
    monkeypatch.setattr(setup, "venv_python", lambda: None)
    with pytest.raises(SystemExit):
        setup.install_environment()
    assert f"link to {venv}" in capsys.readouterr().err


def test_a_long_installation_shows_that_it_moves(capsys):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    assert setup.watch(process, every_s=0.1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2 and all(line.endswith("GB written") for line in lines)

import pytest

from tools import setup


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

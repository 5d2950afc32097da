"""What a person reads on a machine that lacks something, before anything is installed."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest


@pytest.fixture
def bootstrap(checkout, tmp_path, monkeypatch):
    """Import `.ci/bootstrap.py`, set to an empty folder, on a machine whose PATH holds nothing."""
    spec = importlib.util.spec_from_file_location("sereno_bootstrap", checkout / ".ci" / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "requirements.lock").write_text("a==1\n")
    (root / "pyproject.toml").write_text("[project]\n")
    places = {"ROOT": root, "VENV": root / ".venv", "LOCK": root / "requirements.lock"}
    places |= {"VENV_PYTHON": root / ".venv" / "bin" / "python", "STAMP": root / ".venv" / ".sereno-stamp"}
    for name, place in places.items():
        monkeypatch.setattr(module, name, place)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("PYTHON", raising=False)
    return module


@pytest.fixture
def program(tmp_path):
    """Return a function that puts a shell script on PATH."""

    def put(name, script):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return put


def python(version, *, ensurepip=True):
    """Return a script that answers like a Python of a version, and does nothing else."""
    return f'case "$*" in *version_info*) echo {version} ;; *ensurepip*) exit {0 if ensurepip else 1} ;; esac'


def test_a_machine_with_a_python_that_is_too_new_is_told_which_will_do(bootstrap, program, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", program("python3", python("3 14")))
    assert bootstrap.main() == 2
    said = capsys.readouterr().err
    assert "needs Python 3.11 to 3.13" in said
    assert "python3 is 3.14" in said
    assert "PYTHON=" in said
    assert not bootstrap.VENV.exists()


def test_a_supported_python_beside_a_newer_one_is_taken(bootstrap, program, monkeypatch):
    monkeypatch.setattr(sys, "executable", program("python3", python("3 14")))
    good = program("python3.13", python("3 13"))
    assert bootstrap.interpreter(None, uv=None) == good


def test_a_shim_of_an_uninstalled_python_is_passed_over(bootstrap, program, monkeypatch):
    monkeypatch.setattr(sys, "executable", program("python3.12", "exit 127"))
    good = program("python3.11", python("3 11"))
    assert bootstrap.interpreter(None, uv=None) == good


def test_a_python_without_ensurepip_is_named_with_the_package_that_mends_it(bootstrap, program, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", program("python3", python("3 12", ensurepip=False)))
    assert bootstrap.main() == 2
    said = capsys.readouterr().err
    assert "apt install python3.12-venv" in said
    assert "uv" in said


def test_uv_needs_no_python_on_the_machine(bootstrap, program, monkeypatch):
    monkeypatch.setattr(sys, "executable", program("python3", python("3 14")))
    assert bootstrap.interpreter(None, uv="uv") is None


@pytest.mark.parametrize(("version", "words"), [("3 10", "is Python 3.10"), ("3 14", "is Python 3.14")])
def test_a_chosen_python_must_be_supported(bootstrap, program, monkeypatch, capsys, version, words):
    monkeypatch.setenv("PYTHON", program("mine", python(version)))
    assert bootstrap.main() == 2
    assert words in capsys.readouterr().err


def test_a_chosen_python_must_exist(bootstrap, monkeypatch, capsys):
    monkeypatch.setenv("PYTHON", "python9")
    assert bootstrap.main() == 2
    assert "PYTHON=python9 is not a Python that starts" in capsys.readouterr().err


def test_a_step_that_fails_is_named_and_leaves_no_stamp(bootstrap, program, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", program("python3", python("3 12")))
    program("uv", 'case "$1" in --version) ;; *) exit 3 ;; esac')
    assert bootstrap.main() == 1
    assert "failed at: " in capsys.readouterr().err
    assert not bootstrap.STAMP.exists()


def test_nothing_is_done_twice_until_the_lock_changes(bootstrap, program, monkeypatch, tmp_path):
    log = tmp_path / "log"
    made = f"mkdir -p {bootstrap.VENV}/bin && ln -sf {os.path.realpath(sys.executable)} {bootstrap.VENV_PYTHON}"
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    program("uv", f'case "$1" in --version) ;; venv) {made} ;; *) echo "$2" >> {log} ;; esac')
    assert bootstrap.main() == 0
    assert bootstrap.main() == 0
    assert log.read_text().split() == ["sync", "install"]
    bootstrap.LOCK.write_text("a==2\n")
    assert bootstrap.main() == 0
    assert log.read_text().split() == ["sync", "install", "sync", "install"]

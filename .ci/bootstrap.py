"""Make `.venv` in the checkout hold exactly what `requirements.lock` says, and this project in editable form.

Needs the standard library alone, and runs on any Python 3: it finds a supported interpreter (or says what is missing),
uses uv where it is installed and pip where it is not, and does nothing when nothing has changed.

    python3 .ci/bootstrap.py            the environment variable PYTHON chooses the interpreter
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".sereno-stamp"
LOCK = ROOT / "requirements.lock"
OLDEST, NEWEST = (3, 11), (3, 13)
NAMES = ("python3.12", "python3.13", "python3.11", "python3", "python")


class Refused(Exception):
    """The machine lacks something; the message says what and how to get it."""


def version_of(python):
    """Return (major, minor) of an interpreter, or None where it does not start (a shim of an uninstalled one)."""
    code = "import sys; print('%d %d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        major, minor = done.stdout.decode().split()
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return int(major), int(minor)


def is_supported(version):
    """Say whether a (major, minor) is one that the project runs on."""
    return version is not None and OLDEST <= version <= NEWEST


def chosen_python(wish):
    """Return the interpreter that PYTHON names; it must be a supported one."""
    path = shutil.which(wish)
    version = version_of(path) if path else None
    if version is None:
        raise Refused("PYTHON=%s is not a Python that starts." % wish)
    if not is_supported(version):
        raise Refused("PYTHON=%s is Python %d.%d. %s" % ((wish, *version, needed())))
    return path


def needed():
    """Say which Pythons will do."""
    return "Sereno needs Python %d.%d to %d.%d (TensorFlow has no wheel for a newer one)." % (*OLDEST, *NEWEST)


def find_python():
    """List the supported interpreters, this one before those on PATH, and what else was found."""
    good, seen = [], []
    for path in [sys.executable, *(shutil.which(name) for name in NAMES)]:
        version = version_of(path) if path else None
        if is_supported(version) and path not in good:
            good.append(path)
        elif version is not None and (path, version) not in seen:
            seen.append((path, version))
    return good, seen


def no_python(seen):
    """Describe a machine without a supported interpreter."""
    found = ", ".join("%s is %d.%d" % (path, *version) for path, version in seen) or "none"
    return Refused(
        "%s Found: %s.\nInstall one of them and name it (`make demo PYTHON=/path/to/python3.12`), "
        "or install uv, which fetches one by itself." % (needed(), found)
    )


def first_with_venv(pythons):
    """Return the first that can make an environment with pip in it; Debian's cannot without python3-venv."""
    for python in pythons:
        if subprocess.run([python, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    version = "%d.%d" % version_of(pythons[0])
    raise Refused(
        "%s has no `venv` with `ensurepip`, so it cannot make an environment.\n"
        "On Debian and Ubuntu: apt install python%s-venv. Or install uv, which needs neither." % (pythons[0], version)
    )


def run(*command):
    """Run a step and show it; its output goes to the terminal."""
    print("  " + " ".join(str(part) for part in command), flush=True)
    subprocess.run([str(part) for part in command], check=True, cwd=str(ROOT))


def make_venv(python, uv):
    """Make `.venv` anew."""
    if uv:
        # Without an interpreter of ours uv looks for one itself and fetches it where there is none.
        run(uv, "venv", "--clear", "--python", python or "%d.%d" % NEWEST, VENV)
    else:
        run(python, "-m", "venv", "--clear", VENV)


def install(uv):
    """Install what the lock names, each file checked against its hash, then the project itself."""
    if uv:
        run(uv, "pip", "sync", "--python", VENV_PYTHON, "--require-hashes", "--compile-bytecode", LOCK)
        run(uv, "pip", "install", "--python", VENV_PYTHON, "--no-deps", "--no-build-isolation", "-e", ".")
        return
    pip = (VENV_PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    run(*pip, "--require-hashes", "-r", LOCK)
    run(*pip, "--no-deps", "--no-build-isolation", "-e", ".")


def fingerprint():
    """Hash what the environment is made from; the path too, as an editable install knows where it lies."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in (LOCK, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def reusable(version, uv):
    """Say whether the `.venv` that stands there can be brought up to date instead of made anew."""
    have = version_of(str(VENV_PYTHON)) if VENV_PYTHON.exists() else None
    if not is_supported(have) or (version is not None and have != version):
        return False
    pip = [str(VENV_PYTHON), "-c", "import pip"]
    return bool(uv) or subprocess.run(pip, stderr=subprocess.DEVNULL).returncode == 0


def is_current(version):
    """Say whether nothing is left to do; one stat and one small read where no interpreter is named."""
    if not (VENV_PYTHON.exists() and STAMP.exists()) or STAMP.read_text() != fingerprint():
        return False
    return version is None or version_of(str(VENV_PYTHON)) == version


def working_uv():
    """Return the path of a uv that starts (a shim of an uninstalled one does not), or None."""
    uv = shutil.which("uv")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return uv if uv and subprocess.run([uv, "--version"], **quiet).returncode == 0 else None


def interpreter(chosen, uv):
    """Return what the new environment is made with; None leaves the search, and the fetching, to uv."""
    good, seen = ([chosen], []) if chosen else find_python()
    if uv:
        return good[0] if good else None
    if not good:
        raise no_python(seen)
    return first_with_venv(good)


def set_up():
    """Bring `.venv` to what the lock says."""
    wish = os.environ.get("PYTHON")
    chosen = chosen_python(wish) if wish else None
    version = version_of(chosen) if chosen else None
    if is_current(version):
        return
    uv = working_uv()
    if not reusable(version, uv):
        python = interpreter(chosen, uv)
        print("Setting up .venv; the first time takes some minutes and about 4 GB.", flush=True)
        make_venv(python, uv)
    if STAMP.exists():
        STAMP.unlink()
    install(uv)
    STAMP.write_text(fingerprint())


def main():
    """Run under a lock, so that two `make` at once do not build the same folder."""
    try:
        with (ROOT / ".venv.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            set_up()
    except Refused as refused:
        print("sereno: %s" % refused, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as failed:
        print("sereno: setting up .venv failed at: %s" % " ".join(failed.cmd), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

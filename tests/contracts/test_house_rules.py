"""Rules that hold for every file of the project."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

LONGEST_MODULE = 400
# Each of these runs code that it finds in what it reads.
CODE_LOADERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
CODE_LOADING_CALLS = {"read_pickle", "to_pickle", "unsafe_load", "full_load", "unsafe_load_all", "full_load_all"}
# Put together here, so that this file does not hold what it looks for.
HOSTS = [
    ".".join(parts) for parts in (("py" + "pi", "org"), ("python" + "hosted", "org"), ("registry", "npmjs", "org"))
]
HOSTS += [
    ".".join(parts) for parts in (("deb", "debian", "org"), ("conda", "anaconda", "org"), ("proxy", "golang", "org"))
]
MACHINE_PATH = re.compile(r"(?<![\w.~/{}-])/(?:home|root|Users|work|workspace|opt|mnt)/[\w.]")


def loads_code(tree: ast.AST) -> list[int]:
    """Return the lines of a module that import or call something that runs what it reads."""
    lines = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [(node.module or "").split(".")[0]]
        elif isinstance(node, ast.Attribute) and node.attr in CODE_LOADING_CALLS:
            lines.append(node.lineno)
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "safe_mode"):
            wanted = node.arg == "safe_mode"
            if not (isinstance(node.value, ast.Constant) and node.value.value is wanted):
                lines.append(node.value.lineno)
        if CODE_LOADERS.intersection(names):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "np.load(f, allow_pickle=True)",
        "pd.read_pickle(f)",
        "load(f, safe_mode=False)",
    ],
)
def test_a_module_that_loads_code_is_found(text):
    assert loads_code(ast.parse(text)) == [1]


def test_no_module_loads_pickle_or_code_from_a_file(checkout, modules):
    found = [
        f"{path.relative_to(checkout)}:{line}"
        for path in modules
        for line in loads_code(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found


def readable(path: Path) -> str | None:
    """Return a file's text, or None for one that is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def addresses(text: str) -> list[str]:
    """Return the registry hosts and machine paths in a text."""
    return [host for host in HOSTS if host in text] + MACHINE_PATH.findall(text)


@pytest.mark.parametrize(
    "text", [f"see https://{HOSTS[0]}/simple", "cd " + "/home" + "/ana/sereno", '"' + "/work" + '/main"']
)
def test_a_registry_host_or_a_machine_path_is_found(text):
    assert addresses(text)


@pytest.mark.parametrize(
    "text", ["state" + "/work" + "/parts", "{home}/opt/x", "https://example.com/home/page", "/etc/x", "/usr/bin/env"]
)
def test_a_path_inside_a_project_is_no_machine_path(text):
    assert not addresses(text)


def test_no_file_names_a_registry_or_a_path_of_one_machine(checkout, project_files):
    texts = {path: readable(path) for path in project_files}
    found = {str(path.relative_to(checkout)): addresses(text) for path, text in texts.items() if text}
    assert not {name: hits for name, hits in found.items() if hits}


def test_no_module_is_longer_than_a_person_reads(checkout, modules):
    lengths = {str(path.relative_to(checkout)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE}


def test_no_module_is_a_grab_bag(checkout, modules):
    bags = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [str(path.relative_to(checkout)) for path in modules if path.stem.strip("_") in bags]


def test_each_room_says_what_belongs_there_and_is_typed(checkout):
    rooms = ("flows", "tasks", "schemas", "models", "infra")
    for room in (*rooms, "infra/runtime", "infra/service", "infra/dashboard", "infra/cli"):
        docstring = ast.get_docstring(ast.parse((checkout / room / "__init__.py").read_text(encoding="utf-8")))
        assert docstring, room
        assert re.search(r"^(What does not|Not here):", docstring, flags=re.MULTILINE), room
        assert (checkout / room / "py.typed").exists(), room

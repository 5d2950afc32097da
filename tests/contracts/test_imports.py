"""The direction of imports, and what the command line may not load."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HEAVY = ["alembic", "dask", "deltalake", "distributed", "great_expectations", "keras", "mlflow", "numpy", "onnx"]
HEAVY += ["onnxruntime", "pandas", "pandera", "prefect", "pyarrow", "sqlalchemy", "tensorflow", "uvicorn"]


def lint(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter in a folder."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", str(config), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_imports_go_one_way(checkout):
    done = lint(checkout, checkout / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("schemas/upward.py", "import tasks\n"),
        ("tasks/orchestrated.py", "import prefect\n"),
        ("flows/training_here.py", "import tensorflow\n"),
        ("models/stored.py", "import infra.runtime\n"),
        ("infra/runtime/computed.py", "import models\n"),
        ("flows/terminal.py", "import infra.cli\n"),
        ("infra/dashboard/orchestrated.py", "import prefect\n"),
        ("tasks/asked.py", "import infra.dashboard\n"),
        ("flows/sent.py", "import apprise\n"),
    ],
)
def test_an_import_that_goes_the_wrong_way_is_refused(checkout, tmp_path, module, text):
    rooms = ("flows", "tasks", "schemas", "models", "infra")
    for room in (*rooms, "infra/runtime", "infra/service", "infra/dashboard", "infra/cli"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    (tmp_path / module).write_text(text)
    (tmp_path / "pyproject.toml").write_bytes((checkout / "pyproject.toml").read_bytes())
    done = lint(tmp_path, tmp_path / "pyproject.toml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


def test_the_command_line_loads_nothing_heavy():
    code = f"import sys, infra.cli.main; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_distribution_that_the_project_imports_is_declared(checkout, modules):
    import ast

    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {name.split(">")[0].split("[")[0].split("<")[0].lower() for name in project["dependencies"]}
    names = {"yaml": "pyyaml", "great_expectations": "great-expectations", "sklearn": "scikit-learn"}
    names |= {"prometheus_client": "prometheus-client"}
    own = {"flows", "tasks", "schemas", "models", "infra"}
    missing = set()
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported = [node.module or ""]
            tops = {name.split(".")[0] for name in imported} - own - set(sys.stdlib_module_names)
            missing |= {f"{path.name}: {top}" for top in tops if names.get(top, top) not in declared}
    assert not missing

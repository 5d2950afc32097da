"""A port that another program has, and a route without its address, are found with what mends them."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import yaml

from infra.runtime.holder import Holder
from infra.runtime.project import Project
from schemas.settings import load_settings
from tasks.doctor import Finding, Patient
from tasks.doctor_service import SERVICE_CHECKS

CHECKS = {check.name: check for check in SERVICE_CHECKS}


def found(root: Path, check: str, **settings: object) -> list[Finding]:
    (root / "sereno.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return list(CHECKS[check].look(Patient(Project(root), load_settings(root, environ={}))))


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_port_that_another_program_has_is_named_with_its_setting(tmp_path, taken):
    (finding,) = found(tmp_path, "ports", service={"port": 0, "prefect_port": taken, "mlflow_port": 0})
    assert (finding.what, finding.level) == ("service.prefect_port", "note")
    assert str(taken) in finding.found
    assert "prefect_port" in finding.hint


def says_it_is_up(root: Path, holder: Holder) -> None:
    (root / "state" / "service").mkdir(parents=True)
    (root / "state" / "service" / "up.json").write_text(json.dumps({"holder": str(holder)}), encoding="utf-8")


def test_free_ports_and_those_of_a_service_that_is_up_are_nothing_to_say(tmp_path, taken):
    assert found(tmp_path, "ports", service={"port": 0, "prefect_port": 0, "mlflow_port": 0}) == []
    says_it_is_up(tmp_path, Holder.this_process())
    assert found(tmp_path, "ports", service={"port": taken, "prefect_port": 0, "mlflow_port": 0}) == []


def test_what_a_service_that_was_killed_left_behind_hides_no_taken_port(tmp_path, taken, dead_process):
    says_it_is_up(tmp_path, dead_process)
    (finding,) = found(tmp_path, "ports", service={"port": taken, "prefect_port": 0, "mlflow_port": 0})
    assert finding.what == "service.port"


def test_a_route_whose_variable_is_not_set_is_wrong(tmp_path):
    routes = {"hook": {"url_env": "NOT_SET_ANYWHERE"}}
    (finding,) = found(tmp_path, "routes", notify={"routes": routes})
    assert (finding.what, finding.level) == ("route hook", "wrong")
    assert "NOT_SET_ANYWHERE" in finding.found

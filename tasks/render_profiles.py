"""The profiles that `init` writes into a new project: examples, of which only `ci` says anything yet."""

from __future__ import annotations

from schemas.profiles import FOLDER
from tasks.render_dataset import SCHEMA_LINE, SCHEMAS

_LOCAL = """\
# The profile `local`: what is other on a person's own machine.
# cluster:
#   kind: threads            # everything in one process
#   workers: 2
"""
_CI = """\
# The profile `ci`: a test of the project touches no night that counts.
state: ci/state
reports: ci/reports
cluster:
  kind: threads
"""
_PRODUCTION = """\
# The profile `production`: where the nights that count are done. No secret stands here, only where it is to be read.
# database: {env: SERENO_DATABASE_URL}             # PostgreSQL, where more than one machine works
# lake: s3://bucket/lake
# cluster:
#   workers: 4
#   worker_memory: 4GiB
# prefect:
#   api_url: https://prefect.example.com/api
#   api_key: {file: /run/secrets/prefect_api_key}
"""


def profile_texts() -> dict[str, str]:
    """Path within a project folder to text."""
    top = "\n".join(
        [
            SCHEMA_LINE.format(f"../{SCHEMAS}/sereno.schema.json"),
            "# The keys of sereno.yaml; what is not here is as it is there. Choose it by --profile {0},",
            "# SERENO_PROFILE={0} or `profile: {0}` in sereno.yaml; look: sereno --profile {0} config show --resolved",
            "",
        ]
    )
    texts = {"local": _LOCAL, "ci": _CI, "production": _PRODUCTION}
    return {f"{FOLDER}/{name}.yaml": top.replace("{0}", name) + text for name, text in texts.items()}

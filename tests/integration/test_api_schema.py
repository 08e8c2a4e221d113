"""The served OpenAPI document against the served API: thousands of requests that fit it and that do not."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Server
from .gateway_server import running_gateway

pytestmark = pytest.mark.integration

LEAST_CASES = 2_000
# "Schema-valid request rejected" is left out: JSON Schema cannot say that a text is valid HL7 or base64 of UTF-8, that
# a host is one of the deployment's, or that a batch is no longer than its own bound.
LEFT_OUT = "positive_data_acceptance"


def test_no_server_error_and_no_violation_of_the_schema(server: Server, tmp_path: Path) -> None:
    with running_gateway(server, tmp_path / "run", rate_limit="1000000/minute") as gateway:
        document = tmp_path / "openapi.json"
        with gateway.client() as client:
            document.write_text(client.get("/openapi.json").raise_for_status().text, encoding="utf-8")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", gateway.url),
                *("-H", f"Authorization: Bearer {gateway.key('admin')}"),
                *("--phases", "examples,coverage,fuzzing", "--checks", "all", "--exclude-checks", LEFT_OUT),
                *("--max-examples", "160", "--seed", "20261126", "--continue-on-failure", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[said.find("FAILURES") :]
        generated = re.search(r"(\d+) generated", said)
        assert generated is not None, said[-2000:]
        assert int(generated[1]) >= LEAST_CASES
        assert "request_crashed" not in gateway.log()

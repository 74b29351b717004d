"""The parts of the client that need no page, in Node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["fold", "stream"])
def test_module_behaves_in_node(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no node on the PATH: install Node.js 22")
        pytest.skip("there is no node on the PATH")
    done = subprocess.run(
        [node, "--no-warnings", "--test", str(HERE / f"{name}.test.mjs")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

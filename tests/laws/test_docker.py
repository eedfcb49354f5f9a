"""The image: no engine builds it here, so its Dockerfile is linted and its health check and start are read."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.laws.tree import ROOT

DOCKERFILE: Final = ROOT / "docker" / "Dockerfile"


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is installed by spork-core[dev] on Linux x86-64 only")

    run = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    "line",
    ["USER 65532:65532", "STOPSIGNAL SIGTERM", 'ENTRYPOINT ["spork"]'],
)
def test_the_image_keeps_its_promises(line: str) -> None:
    assert line in DOCKERFILE.read_text(encoding="utf-8").splitlines()

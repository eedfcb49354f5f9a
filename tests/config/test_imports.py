"""Importing the config costs little: the YAML parser and the converter come with the first load."""

import subprocess
import sys

CODE = """
import sys
import spork_core.config
heavy = {"ruamel", "cattrs", "ssl", "asyncio"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_the_package_imports_nothing_heavy() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)

    assert found.stdout == "[]\n"

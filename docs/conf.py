"""How Sphinx builds these pages: `tox -e docs`."""

import configparser
from pathlib import Path

_metadata = configparser.ConfigParser()
_metadata.read(Path(__file__).parent.parent / "setup.cfg", encoding="utf-8")

project = "Spork"
author = _metadata["metadata"]["author"]
project_copyright = f"2026, {author}"
version = release = _metadata["metadata"]["version"]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 4  # links such as hooks.md#pre_auth work here as they do on a forge

html_theme = "furo"
html_title = f"Spork {release}"
html_copy_source = False

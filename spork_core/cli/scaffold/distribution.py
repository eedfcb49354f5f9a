"""All files of a new plugin's distribution."""

from collections.abc import Iterable
from string import Template

from spork_core.cli.scaffold import code, project
from spork_core.cli.scaffold.names import Names
from spork_core.cli.scaffold.snippet import Snippet, settings_of
from spork_core.cli.scaffold.snippets import SNIPPETS


def files(names: Names, hooks: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Path → text, and what the file is for in a few words. ``hooks``: at least one; their order does not matter."""
    snippets = _of(hooks)
    package = names.package
    return {
        "README.md": (project.readme(names, snippets), "what it does, its settings, an example, its limits"),
        "pyproject.toml": (project.pyproject(names, snippets), "the entry point, and the settings of the tools"),
        f"{package}/__init__.py": (code.plugin_module(names, snippets), "the plugin"),
        f"{package}/config.py": (code.config_module(names, snippets), "its settings"),
        f"{package}/py.typed": ("", "its types are for others, too"),
        "tests/test_contract.py": (code.contract_module(names, snippets), "the contract of every plugin"),
        f"tests/{names.test}": (code.behaviour_module(names, snippets), "what this one does, over a real gateway"),
        ".github/workflows/test.yml": (project.WORKFLOW, "the same on every supported Python"),
        ".gitignore": (project.GITIGNORE, "what is not to be kept"),
    }


def least(hooks: Iterable[str]) -> str:
    """The settings that an instance cannot do without, as YAML on one line."""
    required = [each for each in settings_of(_of(hooks)) if each.default is None]
    return f"{{{', '.join(f'{each.name}: {Template(each.example).substitute()}' for each in required)}}}"


def _of(hooks: Iterable[str]) -> list[Snippet]:
    wanted = set(hooks)
    return [snippet for hook, snippet in SNIPPETS.items() if hook in wanted]

"""Laws about a distribution: what pip gets, and what its README says."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from spork_core.config import ENVELOPE, loads
from spork_core.errors import ConfigError, ConfigProblem
from spork_core.registry import make_instance
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place
from spork_core.testing.readme import Readme, readme_of
from spork_core.testing.settings import Setting, around, get, put, settings_of
from spork_core.testing.subject import Subject
from spork_core.testing.written import as_yaml

HEADINGS: Final = ("What it does", "Config", "Example", "Limits")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@law()
def is_packaged_for_everybody(subject: Subject) -> None:
    """Its name is of lower-case words with hyphens, its distribution asks for spork-core and is typed.

    Operators type the name; pip has to bring the kernel in a version that fits; and who tests or extends the plugin
    gets types only with a `py.typed` in the package.
    """
    if not _NAME.fullmatch(subject.name):
        raise Broken(
            f'"{subject.name}" is not a name like rate-limit',
            "name the entry point with lower-case words and hyphens between them",
        )
    distribution = subject.distribution
    assert distribution is not None, "it has loaded by its entry point"
    wanted = [re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in distribution.requires or ()]
    if "spork-core" not in [re.sub(r"[-_.]+", "-", name).lower() for name in wanted]:
        raise Broken(
            f"the distribution {distribution.name} does not require spork-core",
            'add "spork-core>=0.1,<0.2" to its dependencies',
        )
    if not (subject.folder / "py.typed").is_file():
        raise Broken(
            f"the package {subject.package} is not marked as typed",
            f"add an empty file {subject.package}/py.typed to the package and to its package data",
        )


@law()
def its_readme_tells_what_it_does(subject: Subject) -> None:
    """The README names the plugin and tells what it does and how to configure it, with an example, and its limits.

    It is what somebody reads who looks for a plugin, on the package index and at three in the morning; the same four
    headings in the same order make any plugin's README one that the reader knows.
    """
    readme = _readme(subject)
    missing = _missing(readme.headings())
    if missing:
        raise Broken(
            f'{readme.where} has no heading "{missing}" in its place',
            f"write the headings {', '.join(HEADINGS)}, in this order",
        )
    names = {subject.name, subject.distribution.name if subject.distribution else ""}
    if not any(name and name in readme.text for name in names):
        raise Broken(
            f"{readme.where} does not name the plugin", f"write how to use it: plugins: {{{subject.name}: {{}}}}"
        )


def _readme(subject: Subject) -> Readme:
    assert subject.distribution is not None, "it has loaded by its entry point"
    readme = readme_of(subject.distribution)
    if readme is None:
        raise Broken(
            f"the distribution {subject.distribution.name} has no README",
            'write README.md, and readme = "README.md" in its pyproject.toml',
        )
    return readme


def _missing(headings: list[str]) -> str | None:
    """The first of the wanted headings that does not come after those before it."""
    rest = iter(heading.lower() for heading in headings)
    return next(
        (wanted for wanted in HEADINGS if not any(heading.startswith(wanted.lower()) for heading in rest)), None
    )


def _has_readme(subject: Subject) -> bool:
    return subject.distribution is not None and readme_of(subject.distribution) is not None


@law(when=_has_readme)
def its_readme_agrees_with_the_code(subject: Subject) -> None:
    """The README names each setting, and none that does not exist; the defaults in its table are those of the code.

    A table that was right once is worse than none: the operator believes it.
    """
    readme = _readme(subject)
    settings = list(settings_of(subject.plugin_class.Config))
    known = readme.codes()
    for setting in settings:
        if setting.name not in known and setting.field.key not in known:
            raise Broken(
                f"{readme.where} does not name the setting {setting.name}",
                f"add a row for `{setting.name}` to the table under Config",
            )
    for row in readme.rows():
        found = [each for each in settings if each.name == row.name or each.name.endswith(f".{row.name}")]
        if not found and row.name not in ENVELOPE:
            raise Broken(
                f"{readme.where} has a row for {row.name}, which is no setting",
                "take it out, or spell it as the code does",
            )
        if found and row.default is not None:
            _check_default(subject, readme, found[0], row.default)


def _check_default(subject: Subject, readme: Readme, setting: Setting, written: str) -> None:
    if setting.field.required:
        raise Broken(
            f"{readme.where} says that {written} is the default of {setting.name}, which is required",
            'write "required" in its place, without backticks',
        )
    settings = around(subject, setting) if setting.has_default else None
    if settings is None:
        return
    try:
        default = setting.default()
    except Exception:
        return  # another law says so
    means = [
        _read(subject, settings, setting, text)
        for text in (written, as_yaml(written))  # a default that is text may stand there without its quotes
    ]
    if _read(subject, settings, setting, as_yaml(default)) not in means:
        raise Broken(
            f"{readme.where} says that {written} is the default of {setting.name}; the code says {as_yaml(default)}",
            "correct the one that is wrong",
        )


def _read(subject: Subject, settings: dict[str, Any], setting: Setting, text: str) -> object:
    """What the setting becomes when a config says ``text``; why not, when it is refused."""
    marker = "spork-contract-value"
    whole = as_yaml({"plugins": {"subject": {"use": subject.name, **put(settings, setting.path, marker)}}})
    try:
        config = subject.load(whole.replace(as_yaml(marker), text))
        return get(config.plugins["subject"].settings, setting.path)
    except (ConfigError, LookupError) as error:
        return f"{text}: {error}"


@law(when=_has_readme)
def its_examples_load(subject: Subject) -> None:
    """The README has a YAML example that uses the plugin, and each of its examples is a config that loads.

    The example is what everybody starts from, with copy and paste.
    """
    readme = _readme(subject)
    used = False
    for line, text in readme.blocks("yaml", "yml"):
        if not re.search(r"^plugins:", text, re.MULTILINE):
            continue
        problems, mine = _example(subject, text)
        if problems:
            first = problems[0]
            at = place(readme.where, line - 1 + max(first.line, 1)) if Path(readme.where).is_file() else readme.where
            raise Broken(
                f"an example does not load ({at}): {first.path}: {first.message}",
                f"{first.remedy or 'correct it'}; spork check tells the same of a file",
            )
        used = used or mine
    if not used:
        raise Broken(
            f"{readme.where} has no YAML example with this plugin",
            f"write a whole config in a ```yaml block, with plugins: {{{subject.name}: …}} and a route that uses it",
        )


def _example(subject: Subject, text: str) -> tuple[list[ConfigProblem], bool]:
    """What is wrong with an example, and whether it uses the plugin. Variables have values and files are there."""
    text = re.sub(r"\$\{file:[^}]*\}", "from-a-file", text)
    try:
        config = loads(text, plugins=subject.registry, file="contract.yaml", environ=_Anything())
    except ConfigError as error:
        problems = [problem for problem in error.problems if not _elsewhere(problem)]
        return problems, not problems and subject.name in text
    mine = [instance for instance in config.plugins.values() if instance.use == subject.name]
    if config.references:
        return [], bool(mine)  # what the plugin makes of them cannot be known
    try:
        for instance in mine:
            make_instance(instance, subject.registry)
    except ConfigError as error:
        return list(error.problems), True
    return [], bool(mine)


def _elsewhere(problem: ConfigProblem) -> bool:
    """True for what the example cannot have here: other plugins, the right variables, files of its machine."""
    return bool(re.search(r"no plugin .* is installed|cannot be read|\$\{", problem.message))


class _Anything(Mapping[str, str]):
    """An environment in which every variable is set."""

    def __getitem__(self, name: str) -> str:
        if name.startswith("SPORK_"):
            raise KeyError(name)
        return "from-the-environment"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


LAWS: Final[tuple[Law, ...]] = (
    is_packaged_for_everybody,
    its_readme_tells_what_it_does,
    its_readme_agrees_with_the_code,
    its_examples_load,
)

"""Mutants that are not packaged or documented as they should be."""

from typing import Final

from tests.testing.mutants.frame import MODULE, Mutant

PACKAGED: Final = "is_packaged_for_everybody"
TELLS: Final = "its_readme_tells_what_it_does"
AGREES: Final = "its_readme_agrees_with_the_code"
LOADS: Final = "its_examples_load"

MUTANTS: Final = (
    Mutant(
        "a name with capitals",
        PACKAGED,
        use="Good_One",
        entry_points=f"[spork.plugins]\nGood_One = {MODULE}:Good\n",
        readme={"  good: {greeting: good morning}": "  good: {use: Good_One, greeting: good morning}"},
    ),
    Mutant("a distribution that asks for nothing", PACKAGED, metadata={"Requires-Dist: spork-core>=0.1,<0.2\n": ""}),
    Mutant("a package without types", PACKAGED, typed=False),
    Mutant("a README without its limits", TELLS, readme={"## Limits\n": ""}),
    Mutant(
        "a README in another order",
        TELLS,
        readme={
            "## Limits\n\n- It knows one greeting.\n": "",
            "## What it does": "## Limits\n\nOne.\n\n## What it does",
        },
    ),
    Mutant("a setting that the README forgets", AGREES, settings='extra: str = setting("More.", default="")'),
    Mutant(
        "a row for no setting", AGREES, readme={"| `greeting` |": "| `greetings` | list | `[]` | all |\n| `greeting` |"}
    ),
    Mutant("another default in the README", AGREES, readme={"`5s`": "`10s`"}),
    Mutant("the same default written otherwise", None, readme={"`5s`": "`5000ms`"}),
    Mutant("an example with a typo", LOADS, readme={"{greeting: good morning}": "{greetings: good morning}"}),
    Mutant("no example", LOADS, readme={"```yaml": "```console"}),
    Mutant(
        "an example with variables and files",
        None,
        readme={"{greeting: good morning}": '{wait: "${env:WAIT}", key: "${file:/run/secrets/good}"}'},
    ),
    Mutant(
        "an example with a plugin that is not here",
        None,
        readme={"chain: [good]": "  other: {use: from-elsewhere}\nchain: [good]"},
    ),
)

"""The kit for plugin authors: the contract of a plugin as tests, a gateway in one line, faults on order.

Names are imported on first use: pytest loads this package in every run, for its plugin, and most runs need none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from spork_core.testing import scripts
    from spork_core.testing.answers import Answer, Received
    from spork_core.testing.asking import Client, NoAnswer
    from spork_core.testing.both import Both, both_forms
    from spork_core.testing.contract import contract_suite
    from spork_core.testing.control import StillClock
    from spork_core.testing.harness import Harness, gateway
    from spork_core.testing.law import Broken, Law
    from spork_core.testing.link import Link, flaky
    from spork_core.testing.patience import holds
    from spork_core.testing.subject import Effort, Subject
    from spork_core.testing.transcript import Transcript
    from spork_core.testing.upstreams import Script, Upstream, upstream
    from spork_core.testing.wire import Message, Wire

_HOMES: Final = {
    "answers": ("Answer", "Received"),
    "asking": ("Client", "NoAnswer"),
    "both": ("Both", "both_forms"),
    "contract": ("contract_suite",),
    "control": ("StillClock",),
    "harness": ("Harness", "gateway"),
    "law": ("Broken", "Law"),
    "link": ("Link", "flaky"),
    "patience": ("holds",),
    "subject": ("Effort", "Subject"),
    "transcript": ("Transcript",),
    "upstreams": ("Script", "Upstream", "upstream"),
    "wire": ("Message", "Wire"),
}
_EXTRA: Final = ("blockbuster", "hypothesis", "pytest")
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{home}"), name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise ImportError(f"{__name__}.{name} needs {error.name}: pip install 'spork-core[testing]'") from error


__all__ = [
    "Answer",
    "Both",
    "Broken",
    "Client",
    "Effort",
    "Harness",
    "Law",
    "Link",
    "Message",
    "NoAnswer",
    "Received",
    "Script",
    "StillClock",
    "Subject",
    "Transcript",
    "Upstream",
    "Wire",
    "both_forms",
    "contract_suite",
    "flaky",
    "gateway",
    "holds",
    "scripts",
    "upstream",
]

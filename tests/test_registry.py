"""Plugins found, made and checked; every refusal says what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pluggy
import pytest

from spork_core.config.model import InstanceConfig
from spork_core.errors import ConfigError, ConfigProblem
from spork_core.exchange import Exchange, Request, Response
from spork_core.hookspecs import hookimpl
from spork_core.pipeline import Pipeline
from spork_core.plugin import Plugin
from spork_core.registry import Instance, PluginLoadError, Registry, make_instance, order_problems
from tests.reference import instance_of, plugin_of


def refusal(cls: Any) -> ConfigProblem:
    """The one problem that the plugin makes."""
    with pytest.raises(ConfigError) as refused:
        instance_of(cls)
    (problem,) = refused.value.problems
    assert problem.path == "$.plugins.p"
    return problem


def marked(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return hookimpl(**options)(function)


# -- discovery ------------------------------------------------------------------------------------------

Install = Callable[..., Registry]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts distributions on the path, each ``name: {plugin: "module:attribute"}``, with one module ``made_here``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def installed(source: str, **distributions: dict[str, str]) -> Registry:
        (tmp_path / "made_here.py").write_text(source, encoding="utf-8")
        for name, points in distributions.items():
            info = tmp_path / f"{name}-1.2.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
            lines = [f"{plugin} = {value}" for plugin, value in points.items()]
            (info / "entry_points.txt").write_text("\n".join(["[spork.plugins]", *lines]), encoding="utf-8")
        monkeypatch.delitem(__import__("sys").modules, "made_here", raising=False)
        return Registry()

    return installed


GOOD = "from spork_core.api import Plugin\nclass Good(Plugin): pass\nnot_a_plugin = dict\n"


def test_a_plugin_is_found_by_its_entry_point_and_imported_when_asked_for(install: Install) -> None:
    registry = install(GOOD, acme={"acme-good": "made_here:Good", "acme-other": "nowhere:Gone"})

    assert {"acme-good", "acme-other"} <= set(registry.names())
    assert registry.distribution("acme-good") == "acme 1.2"
    assert registry.plugin_class("acme-good") is registry.plugin_class("acme-good")
    assert registry.config_class("acme-good") is Plugin.Config


@pytest.mark.parametrize(
    ("value", "source", "says"),
    [
        ("nowhere:Gone", GOOD, "cannot be imported (ModuleNotFoundError: No module named 'nowhere'); reinstall it"),
        ("made_here:Gone", GOOD, "cannot be imported (AttributeError"),
        ("made_here:Good", "1/0", "cannot be imported (ZeroDivisionError"),
        ("made_here:Good", "import sys; sys.exit('no')", "cannot be imported (SystemExit: no)"),
        ("made_here:Good", "def", "cannot be imported (SyntaxError"),
        ("made_here:not_a_plugin", GOOD, "is not a subclass of spork_core.api.Plugin"),
        ("made_here:Plugin.__init__", GOOD, "is not a subclass of spork_core.api.Plugin"),
    ],
)
def test_a_plugin_that_does_not_load_says_why_and_whose_it_is(
    install: Install, value: str, source: str, says: str
) -> None:
    registry = install(source, acme={"acme-bad": value})

    with pytest.raises(PluginLoadError) as refused:
        registry.plugin_class("acme-bad")
    assert str(refused.value).startswith('plugin "acme-bad" of acme 1.2 ')
    assert says in str(refused.value)


def test_a_plugin_that_does_not_load_is_a_config_error(install: Install) -> None:
    registry = install(GOOD, acme={"acme-bad": "nowhere:Gone"})

    with pytest.raises(ConfigError, match=r"\$\.plugins\.mine: .*acme-bad.*reinstall it"):
        make_instance(InstanceConfig(name="mine", use="acme-bad"), registry)


def test_one_name_of_two_distributions_is_refused_only_when_used(install: Install) -> None:
    registry = install(GOOD, acme={"x": "made_here:Good"}, bcme={"x": "made_here:not_a_plugin", "y": "made_here:Good"})

    assert registry.plugin_class("y").__name__ == "Good"
    with pytest.raises(PluginLoadError, match=r"[ab]cme 1\.2 and [ab]cme 1\.2; uninstall one of them"):
        registry.plugin_class("x")


def test_one_distribution_found_twice_is_one(install: Install) -> None:
    registry = install(GOOD, acme={"x": "made_here:Good"}, acme_again={"x": "made_here:Good"})

    assert registry.plugin_class("x").__name__ == "Good"


def test_an_unknown_plugin_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Registry({}).plugin_class("nobody")


# -- the hook contract ----------------------------------------------------------------------------------


def test_a_hook_that_is_misspelt_is_refused_with_the_right_name() -> None:
    problem = refusal(plugin_of(on_requests=lambda self, exchange: None))

    assert "Made.on_requests implements an unknown hook" in problem.message
    assert problem.remedy == "did you mean on_request?"


def test_a_hook_that_is_like_no_other_is_refused_with_all_names() -> None:
    remedy = refusal(plugin_of(zzz=lambda self: None)).remedy

    assert remedy.startswith("the hooks are pre_auth, authenticate,")
    assert remedy.endswith("on_event")


def test_all_faults_of_a_plugin_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        instance_of(plugin_of({"requires": "identity"}, on_requests=lambda self: None, pre_aut=lambda self: None))

    assert len(refused.value.problems) == 3


def test_a_wrong_argument_name_is_refused() -> None:
    message = refusal(plugin_of(on_request=lambda self, request: None)).message

    assert "breaks the hook contract" in message
    assert "request" in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"wrapper": True}, "hook wrapper"),
        ({"hookwrapper": True}, "hook wrapper"),
        ({"tryfirst": True}, "the operator's chain decides the order"),
        ({"trylast": True}, "the operator's chain decides the order"),
    ],
)
def test_wrappers_and_own_orders_are_refused(options: dict[str, bool], says: str) -> None:
    def on_request(self: Any, exchange: Exchange) -> Any:
        yield

    assert says in refusal(type("Made", (Plugin,), {"on_request": marked(on_request, **options)})).message


def test_a_hook_may_have_another_name() -> None:
    answer = Response()
    cls = type("Made", (Plugin,), {"limit": marked(lambda self, exchange: answer, specname="on_request")})

    assert Pipeline([instance_of(cls)]).on_request(Exchange(Request())) is answer  # type: ignore[misc]


@pytest.mark.parametrize("error", [ValueError("key is too short"), SystemExit("key is too short")])
def test_a_constructor_that_refuses_is_a_config_error(error: BaseException) -> None:
    def init(self: Any, config: object, name: str) -> None:
        raise error

    assert refusal(plugin_of({"__init__": init})).message == "plugin p refuses its config: key is too short"


def test_a_config_error_of_a_constructor_stays_as_it_is() -> None:
    def init(self: Any, config: object, name: str) -> None:
        raise ConfigError([ConfigProblem("too short", path="$.plugins.p.key")])

    with pytest.raises(ConfigError, match=r"^\$\.plugins\.p\.key: too short$"):
        instance_of(plugin_of({"__init__": init}))


@pytest.mark.parametrize("name", ["provides", "requires", "before", "after"])
def test_capabilities_are_a_tuple(name: str) -> None:
    problem = refusal(plugin_of({name: "identity"}))

    assert problem.remedy == f'write {name} = ("identity",)'


# -- hooks() and challenge() ----------------------------------------------------------------------------


def choosing(hooks: Any) -> type[Plugin[Any]]:
    found = {"hooks": lambda self: hooks} if not callable(hooks) else {"hooks": hooks}
    nothing = lambda self: None  # noqa: E731  three hooks that do the same
    return plugin_of(found, pre_auth=nothing, on_request=nothing, startup=nothing)


@pytest.mark.parametrize(
    ("hooks", "left"),
    [
        (None, ["on_request", "pre_auth", "startup"]),
        (["pre_auth"], ["pre_auth", "startup"]),
        ((name for name in ["on_request", "pre_auth"]), ["on_request", "pre_auth", "startup"]),
        ((), ["startup"]),
        ("on_request", ["on_request", "startup"]),
    ],
)
def test_an_instance_keeps_the_hooks_it_needs(hooks: Any, left: list[str]) -> None:
    assert sorted(instance_of(choosing(hooks)).impls) == left


def test_hooks_that_names_an_unknown_one_is_refused() -> None:
    problem = refusal(choosing(["pre_auht", "on_request"]))

    assert "hooks() of plugin p names pre_auht" in problem.message
    assert problem.remedy == "did you mean pre_auth?"


@pytest.mark.parametrize("hooks", [7, [["on_request"]], [1], lambda self: 1 / 0])
def test_hooks_that_gives_no_names_is_refused(hooks: Any) -> None:
    assert "breaks the hook contract" in refusal(choosing(hooks)).message


@pytest.mark.parametrize("challenge", [lambda self: 1 / 0, lambda self: b"Bearer", lambda self: "Bearer\r\nX: y"])
def test_a_challenge_that_is_no_header_is_refused(challenge: Any) -> None:
    assert "breaks the hook contract" in refusal(plugin_of({"challenge": challenge})).message


# -- instances ------------------------------------------------------------------------------------------


@attrs.frozen
class Limit:
    count: int = 1


def test_two_equal_instances_stand_side_by_side() -> None:
    @attrs.define
    class Equal(Plugin[Limit]):
        config: Limit
        name: str = attrs.field(eq=False)

        @hookimpl
        def pre_auth(self, exchange: Exchange) -> None:
            exchange.request.headers.add("Seen", self.name)

    registry, exchange = Registry({"equal": Equal}), Exchange(Request())
    chain = [make_instance(InstanceConfig(name, "equal", settings=Limit()), registry) for name in ("one", "two")]
    assert chain[0].plugin == chain[1].plugin
    Pipeline(chain).pre_auth(exchange)  # type: ignore[misc]
    assert exchange.request.headers.getall("Seen") == ["one", "two"]


@pytest.mark.parametrize(
    ("own", "said", "policy"), [("closed", None, "closed"), ("open", None, "open"), ("open", "closed", "closed")]
)
def test_the_config_decides_the_policy_else_the_plugin(own: str, said: Any, policy: str) -> None:
    instance = instance_of(plugin_of({"on_failure": own}), on_failure=said)

    assert (instance.on_failure, repr(instance)) == (policy, f"<Instance p use=p {policy}>")


def test_making_an_instance_leaves_the_class_alone() -> None:
    cls = plugin_of(pre_auth=lambda self: None)
    hook = vars(cls)["pre_auth"]
    instance_of(cls)

    assert vars(cls)["pre_auth"] is hook
    assert isinstance(instance_of(cls).impls["pre_auth"], pluggy.HookImpl)


# -- order ----------------------------------------------------------------------------------------------


def chain(*wanted: tuple[str, dict[str, tuple[str, ...]]]) -> list[Instance]:
    return [instance_of(plugin_of(capabilities), name) for name, capabilities in wanted]


JWT = ("jwt", {"provides": ("identity",)})
KEY = ("key", {"provides": ("identity",)})
LIMIT = ("limit", {"requires": ("identity",)})
LATE = ("late", {"after": ("identity",)})
EARLY = ("early", {"before": ("identity",)})
EXCHANGER = ("exchanger", {"requires": ("identity",), "provides": ("identity",)})


@pytest.mark.parametrize(
    "good",
    [
        [],
        [JWT, LIMIT],
        [JWT, LIMIT, KEY],
        [JWT, LATE],
        [LATE],
        [EARLY],
        [EARLY, JWT, KEY],
        [JWT, EXCHANGER, LIMIT],
        [JWT, KEY],
    ],
)
def test_a_chain_in_order(good: list[Any]) -> None:
    assert order_problems(chain(*good), "$.chain") == []


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            [LIMIT],
            (
                '"limit" requires identity, which no instance of this chain provides; '
                "put an instance that provides identity before it, or take it out"
            ),
        ),
        ([EXCHANGER], '"exchanger" requires identity, which no instance of this chain provides; put an instance'),
        ([LIMIT, JWT], '"limit" stands before "jwt" but requires identity from it; move "limit" behind "jwt"'),
        ([JWT, LATE, KEY], '"late" stands before "key" but must come after identity of it; move "late" behind "key"'),
        (
            [JWT, EARLY],
            '"jwt" provides identity and stands before "early", which must come first; move "jwt" behind "early"',
        ),
    ],
)
def test_a_chain_out_of_order_names_both_and_the_remedy(bad: list[Any], says: str) -> None:
    (problem,) = order_problems(chain(*bad), "$.routes.r.chain")

    assert str(problem).startswith(f"$.routes.r.chain: {says}")


def test_all_that_is_wrong_with_a_chain_is_told() -> None:
    assert len(order_problems(chain(LIMIT, LATE, JWT, EARLY, KEY), "$.chain")) == 4


def test_an_async_on_event_is_refused() -> None:
    async def later(self: Any) -> None: ...

    assert "is an async def, which nobody would await" in refusal(plugin_of(on_event=later)).message


@pytest.mark.parametrize("name", ["export_state", "import_state"])
def test_state_is_handed_over_by_defs(name: str) -> None:
    async def later(self: Any, *_: Any) -> None: ...

    assert f"{name} is an async def" in refusal(plugin_of({name: later})).message

"""SPORK_LISTEN, SPORK_ADMIN_LISTEN and SPORK_WORKERS override the file."""

import pytest

from spork_core.config import Address, dump
from tests.config.conftest import Faults, Load


def test_variables_override_the_file(load: Load) -> None:
    config = load(
        "listen: ${env:L:-a:1}\nworkers: 1\nadmin: null",
        SPORK_LISTEN="b:2, unix:/c",
        SPORK_ADMIN_LISTEN="localhost:3",
        SPORK_WORKERS="4",
    )

    assert [str(listener.address) for listener in config.listen] == ["b:2", "unix:/c"]
    assert config.admin is not None
    assert (str(config.admin.listen.address), config.workers) == ("localhost:3", 4)
    assert "${env:L" not in dump(config)


def test_auto_and_empty_variables(load: Load) -> None:
    assert load("", SPORK_WORKERS="auto", SPORK_LISTEN="").workers == "auto"


def test_the_rest_of_admin_stays(load: Load) -> None:
    config = load("admin: {listen: 0.0.0.0:1, allow_remote: true}", SPORK_ADMIN_LISTEN="0.0.0.0:2")

    assert config.admin is not None
    assert (config.admin.listen.address, config.admin.allow_remote) == (Address("0.0.0.0", 2), True)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("SPORK_WORKERS", "x", 'SPORK_WORKERS: $.workers: expected a whole number or "auto", found "x"'),
        ("SPORK_LISTEN", "80", 'SPORK_LISTEN: $.listen: "80" is not an address; write "127.0.0.1:80"'),
        (
            "SPORK_ADMIN_LISTEN",
            "0.0.0.0:1",
            (
                "SPORK_ADMIN_LISTEN: $.admin.listen: 0.0.0.0:1 can be reached from other machines; "
                "listen on 127.0.0.1, or set admin.allow_remote: true"
            ),
        ),
    ],
)
def test_a_fault_names_the_variable(faults: Faults, name: str, value: str, fault: str) -> None:
    assert faults("workers: 2", **{name: value}) == [fault]


def test_a_variable_cannot_take_tls_away(faults: Faults) -> None:
    found = faults("listen: [{address: a:1, tls: {certificate: c, key: k}}, b:2]", SPORK_LISTEN="c:3")

    assert found[0] == (
        "SPORK_LISTEN: $.listen: would take the TLS off the file's listeners; change the addresses in the file"
    )

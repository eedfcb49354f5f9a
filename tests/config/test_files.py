"""Certificates, keys and authorities are read at the load, and what is wrong with them is told."""

# ruff: noqa: E501  a table reads best with one case a line

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from spork_core.config import Secret, load
from spork_core.errors import ConfigError
from tests.config.conftest import Plugins


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pems")
    authority = trustme.CA()
    for name in ("a", "b"):
        issued = authority.issue_cert(f"{name}.example")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    key = load_pem_private_key((folder / "a.key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open"))
    (folder / "locked.key").write_bytes(locked)
    (folder / "text").write_text("no pem", encoding="utf-8")
    return folder


def write(folder: Path, text: str) -> Path:
    file = folder / "spork.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_good_files_are_found_beside_the_config(pems: Path, plugins: Plugins) -> None:
    text = """
listen:
  - {address: a:1, tls: {certificate: a.pem, key: a.key, min_version: "1.3", client_ca: ca.pem}}
  - {address: a:2, tls: {certificates: [{certificate: a.pem, key: locked.key, password: open}]}}
services: {s: {endpoints: [], tls: {ca: ca.pem, certificate: b.pem, key: b.key}}}
"""

    config = load(write(pems, text), plugins=plugins, environ={})

    first, second = (listener.tls for listener in config.listen)
    assert first is not None
    assert second is not None
    assert (first.certificates[0].certificate, first.min_version) == (pems / "a.pem", "1.3")
    assert second.certificates[0].password == Secret("open")


@pytest.mark.parametrize(
    ("tls", "fault"),
    [
        ("certificate: a.pem, key: b.key", "1:55 $.listen.tls.key: the key does not belong to the certificate"),
        ("certificate: text, key: a.key", "1:43 $.listen.tls.certificate: the file holds no PEM certificate"),
        ("certificate: a.pem, key: text", "1:55 $.listen.tls.key: the file holds no PEM private key"),
        ("certificate: a.pem, key: locked.key", "1:55 $.listen.tls.key: the key cannot be decrypted; set password"),
        ("certificate: a.pem, key: locked.key, password: x", "1:55 $.listen.tls.key: the key cannot be decrypted"),
        ("certificate: a.pem", '1:24 $.listen.tls: "key" is missing; add key: a path'),
        ("certificates: [{certificate: a.pem, key: b.key}]", "1:71 $.listen.tls.certificates[0].key: the key does not belong to the certificate"),
        ("certificate: a.pem, key: a.key, client_ca: text", "1:73 $.listen.tls.client_ca: the file holds no PEM certificate"),
        ("certificate: a.pem, key: a.key, min_version: 1.2", '1:75 $.listen.tls.min_version: expected "1.2" or "1.3", found 1.2'),
    ],
)  # fmt: skip
def test_a_bad_file_has_its_place(pems: Path, plugins: Plugins, tls: str, fault: str) -> None:
    file = write(pems, f"listen: {{address: a:1, tls: {{{tls}}}}}")

    with pytest.raises(ConfigError) as refused:
        load(file, plugins=plugins, environ={})

    assert str(refused.value) == f"{file}:{fault}"


def test_missing_files_and_folders(pems: Path, plugins: Plugins) -> None:
    file = write(pems, "services: {s: {endpoints: [], tls: {ca: ., certificate: none.pem, key: a.key}}}")

    with pytest.raises(ConfigError) as refused:
        load(file, plugins=plugins, environ={})

    assert [(problem.path, problem.message) for problem in refused.value.problems] == [
        ("$.services.s.tls.ca", f"{pems} is not a regular file"),
        ("$.services.s.tls.certificate", f"{pems / 'none.pem'} cannot be read: No such file or directory"),
    ]

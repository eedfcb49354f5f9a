"""What no single value can tell: names, chains, listeners, patterns and unsafe combinations."""

# ruff: noqa: E501  a table reads best with one case a line

import pytest

from tests.config.conftest import Faults, Load

BASE = """
services: {users: {endpoints: [http://127.0.0.1:9001], chain: [c]}}
plugins: {a: {use: request-id}, b: {use: request-id}, c: {use: request-id}}
chain: [a]
"""


def of(faults: Faults, text: str) -> list[str]:
    """The faults without their places."""
    return [fault.partition(" ")[2] for fault in faults(text)]


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("service: user", 'service: there is no service "user"; did you mean "users"?'),
        ("service: users, chain: [d]", 'chain[0]: there is no plugin instance "d"; the plugins are a, b, c'),
        ("service: users, chain: [a]", 'chain[0]: "a" is in the outer chain already; an exchange runs it once; take one out'),
        ("service: users, chain: [b, b]", 'chain[1]: "b" is in this chain already; an exchange runs it once; take one out'),
        ("service: users, chain: [c]", 'chain[0]: "c" is in the chain of service "users" already; an exchange runs it once; take one out'),
        ("service: users, without: [b]", 'without[0]: the outer chain does not bring "b"; it brings a'),
        ("service: users, without: [d]", 'without[0]: there is no plugin instance "d"; the plugins are a, b, c'),
        ("without: [a]", " nothing answers: no service and no plugin; add service"),
    ],
)  # fmt: skip
def test_names_and_chains_of_a_route(faults: Faults, route: str, fault: str) -> None:
    found = of(faults, BASE + f"routes: {{r: {{match: {{}}, {route}}}}}")

    assert found == [f"$.routes.r{'.' if not fault.startswith(' ') else ':'}{fault}"]


def test_a_service_must_not_repeat_the_outer_chain(faults: Faults) -> None:
    found = of(faults, BASE.replace("chain: [c]", "chain: [a]"))

    assert found == [
        '$.services.users.chain[0]: "a" is in the outer chain already; an exchange runs it once; take one out'
    ]


def test_the_same_chain_twice_is_fine_where_the_outer_one_is_left_out(load: Load) -> None:
    load(BASE + "routes: {r: {match: {}, service: users, without: [a], chain: [b, a]}, plain: {match: {path: /x}}}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("listen: []", "$.listen: there is no listener; name at least one address"),
        ("listen: [127.0.0.1:80, 127.0.0.1:80]", "$.listen[1]: 127.0.0.1:80 clashes with listen 127.0.0.1:80; give each listener its own address"),
        ("listen: [127.0.0.1:80, 0.0.0.0:80]", "$.listen[1]: 0.0.0.0:80 clashes with listen 127.0.0.1:80; give each listener its own address"),
        ("listen: 127.0.0.1:8081", "$.admin.listen: 127.0.0.1:8081 clashes with listen 127.0.0.1:8081; give each listener its own address"),
        ("listen: {address: a:1, tls: {certificates: []}}", "$.listen.tls: TLS needs a certificate; add certificate and key"),
        ("admin: {listen: 0.0.0.0:9}", "$.admin.listen: 0.0.0.0:9 can be reached from other machines; listen on 127.0.0.1, or set admin.allow_remote: true"),
        ("trusted_proxies: [0.0.0.0/0]", "$.trusted_proxies[0]: 0.0.0.0/0 lets every client choose its own address; name the networks of your proxies"),
        ("trusted_proxies: ['::/0']", "$.trusted_proxies[0]: ::/0 lets every client choose its own address; name the networks of your proxies"),
        ("forwarded: {via: 'a b'}", '$.forwarded.via: "a b" is not a host name'),
        ("plugins: {request-id: {quarantine: {pause: 10m}}}", "$.plugins.request-id.quarantine.max_pause: is 5m, less than the first pause of 10m; write a longer max_pause, or a shorter pause"),
        ("errors: {type_base: 'a b'}", '$.errors.type_base: not a URI; write it like "https://docs.example.com/errors/"'),
    ],
)  # fmt: skip
def test_the_gateway(faults: Faults, text: str, fault: str) -> None:
    assert of(faults, text) == [fault]


def test_safe_listeners_are_fine(load: Load) -> None:
    load("listen: [127.0.0.1:0, 127.0.0.1:0, unix:/a]\nadmin: {listen: 0.0.0.0:9, allow_remote: true}")


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("ftp://x", 'the scheme "ftp" is not http, https or unix'),
        ("127.0.0.1:80", 'not a URL; write it like "http://127.0.0.1:9000"'),
        ("http://", "the URL has no valid host"),
        ("http://x/", '"http://x/" is more than an origin; write "http://x"'),
        ("http://x/a", '"http://x/a" is more than an origin; write "http://x" and use rewrite.add_prefix'),
        ("http://x?a", '"http://x?a" is more than an origin; write "http://x"'),
        ("http://u:p@x", "an endpoint has no user and password; let a plugin set the Authorization header"),
        ("http://x:0", '"http://x:0" has no port from 1 to 65535'),
        ("http://x:65536", '"http://x:65536" has no port from 1 to 65535'),
        ("http://x:", '"http://x:" has no port from 1 to 65535'),
        ("http://a_b!", '"a_b!" is not a host name'),
        ("http://*.x", '"http://*.x" is not one host'),
        ("unix:a", 'not an absolute socket path; write "unix:/run/app.sock"'),
    ],
)
def test_an_endpoint_is_an_origin(faults: Faults, endpoint: str, fault: str) -> None:
    assert of(faults, f"services: {{s: {{endpoints: ['{endpoint}']}}}}") == [f"$.services.s.endpoints[0]: {fault}"]


@pytest.mark.parametrize("url", ["http://x", "https://x.example:8443", "http://[::1]:80", "http://10.0.0.1", "unix:/a"])
def test_good_endpoints(load: Load, url: str) -> None:
    assert load(f"services: {{s: {{endpoints: ['{url}']}}}}").services["s"].endpoints[0].url == url


@pytest.mark.parametrize(
    ("service", "fault"),
    [
        ("endpoints: [http://x, {url: http://x}]", "endpoints[1].url: the endpoint is there twice; take one out, or use weight"),
        ("endpoints: [], tls: {key: k.pem}", "tls.key: a key without its certificate; add certificate"),
        ("endpoints: [], tls: {server_name: a b}", 'tls.server_name: "a b" is not a host name'),
    ],
)  # fmt: skip
def test_a_service(faults: Faults, service: str, fault: str) -> None:
    assert of(faults, f"services: {{s: {{{service}}}}}") == [f"$.services.s.{fault}"]


def test_verification_off_beside_an_authority_is_refused(faults: Faults) -> None:
    found = of(faults, "services: {s: {endpoints: [], tls: {verify: false, ca: none.pem}}}")

    assert found[0].startswith("$.services.s.tls.verify: verify: false makes ca worthless")


@pytest.mark.parametrize(
    ("match", "fault"),
    [
        ("host: a.*.b", 'host: "a.*.b": * stands only for the whole first label; write "*.example.com"'),
        ("host: [x, 'y:80']", 'host[1]: "y:80" has a port; write "y"; ports do not count'),
        ("host: bücher.de", 'host: "bücher.de" is not ASCII; write "xn--bcher-kva.de"'),
        ("host: '::1'", 'host: "::1" is not how Host says it; write "[::1]"'),
        ("host: -a.b", 'host: "-a.b" is not a host name'),
        ("path: a", 'path: "a" does not begin with /; write "/a", or "~regex"'),
        ("path: '/a*'", 'path: "/a*": * stands only for the end; write "/prefix/*", or "~regex"'),
        ("path: '/*/a'", 'path: "/*/a": * stands only for the end; write "/prefix/*", or "~regex"'),
        ("path: '/{id}.json'", 'path: "/{id}.json": a capture is a whole segment; write "/users/{id}", or "~regex"'),
        ("path: '/{id'", 'path: "/{id": a capture is a whole segment; write "/users/{id}", or "~regex"'),
        ("path: '/{a}/{a}'", 'path: "/{a}/{a}" captures {a} twice; give each capture its own name'),
        ("path: '/{rest}/*'", 'path: "/{rest}/*" captures {rest} twice; give each capture its own name'),
        ("path: '/{1}'", 'path: "/{1}": {1} is not a name; use letters, digits and underscores'),
        ("path: '/a?b'", 'path: "/a?b": "?" cannot stand in a path; use match.query'),
        ("path: '/é'", 'path: "/é": "é" cannot stand in a path; write "%C3%A9"'),
        ("path: '/%zz'", 'path: "/%zz": "%" cannot stand in a path; write "%25" for %'),
        ("path: '~('", 'path: "~(" is not a regular expression: missing ), unterminated subpattern at position 0'),
        ("methods: [get]", 'methods[0]: "get" is not GET: methods are case-sensitive; write "GET"'),
        ("methods: ['a b']", 'methods[0]: "a b" is not a method'),
        ("methods: [CONNECT]", "methods[0]: CONNECT is always refused; take it out"),
        ("headers: {'a b': c}", 'headers["a b"]: "a b" is not a header name'),
        ("query: {a: '~['}", 'query.a: "~[" is not a regular expression: unterminated character set at position 0'),
    ],
)
def test_a_match(faults: Faults, match: str, fault: str) -> None:
    found = of(faults, BASE + f"routes: {{r: {{service: users, match: {{{match}}}}}}}")

    assert found == [f"$.routes.r.match.{fault}"]


@pytest.mark.parametrize(
    "match",
    ["host: '*'", "host: '*.a.b'", "host: '[::1]'", "host: 10.0.0.1", "path: '/{a}/x/*'", "path: '~^/(?P<x>a)'", "methods: [PURGE, x]"],
)  # fmt: skip
def test_good_matches(load: Load, match: str) -> None:
    load(BASE + f"routes: {{r: {{service: users, match: {{{match}}}}}}}")


@pytest.mark.parametrize(
    ("rewrite", "fault"),
    [
        ("path: '/v2/{name}'", "path: {name} is not captured by match.path; it captures {id}, {rest}"),
        ("path: '/v2/{id'", 'path: "/v2/{id" has a brace without its partner'),
        ("path: v2", 'path: "v2" does not begin with /; write "/v2"'),
        ("strip_prefix: /us", "strip_prefix: match.path does not begin with it; it takes whole segments off the front, literal ones"),
        ("strip_prefix: /users/x", "strip_prefix: match.path does not begin with it; it takes whole segments off the front, literal ones"),
        ("strip_prefix: users", 'strip_prefix: "users" does not begin with /; write "/users"'),
        ("strip_prefix: /users/", 'strip_prefix: "/users/" ends in /; write "/users"'),
        ("add_prefix: '/{id}'", 'add_prefix: "/{id}" is not literal; use rewrite.path with captures'),
        ("add_prefix: /a, path: /b", "add_prefix: add_prefix and path exclude each other; say it all in path"),
        ("host: 'a:0'", 'host: "a:0" has no port from 1 to 65535'),
        ("host: 'a b'", 'host: "a b" is not a host name'),
        ("set_headers: {Host: a}", "set_headers.Host: Host is managed by the gateway; use rewrite.host"),
        ("set_headers: {'a b': a}", 'set_headers["a b"]: "a b" is not a header name'),
        ('set_headers: {a: "b\\r\\nc"}', "set_headers.a: a header value holds no '\\r'"),
        ('set_headers: {a: "b\\0"}', "set_headers.a: a header value holds no '\\x00'"),
        ("remove_headers: [Transfer-Encoding]", "remove_headers[0]: Transfer-Encoding is managed by the gateway; take it out"),
    ],
)  # fmt: skip
def test_a_rewrite(faults: Faults, rewrite: str, fault: str) -> None:
    text = BASE + f"routes: {{r: {{service: users, match: {{path: '/users/{{id}}/*'}}, rewrite: {{{rewrite}}}}}}}"

    assert of(faults, text) == [f"$.routes.r.rewrite.{fault}"]


def test_good_rewrites(load: Load) -> None:
    load(
        BASE
        + """routes:
  a: {service: users, match: {path: '~^/x(?P<y>.*)'}, rewrite: {path: '/v/{y}', host: 'a.b:80'}}
  b: {service: users, match: {path: /api/v1/*}, rewrite: {strip_prefix: /api/v1, add_prefix: /v2}}
  c: {service: users, match: {path: /api}, rewrite: {strip_prefix: /api, set_headers: {X-A: 'é\\tb'}}}
"""
    )

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemesh.sites.hosts import (
    BadHost,
    ControlHost,
    Host,
    Hostnames,
    SiteHost,
    UnknownHost,
    parse_host,
)

LOCAL = Hostnames.of(control_hosts=["localhost", "127.0.0.1", "[::1]:9000"], sites_domain="localhost:9000")
HOSTED = Hostnames.of(control_hosts=["app.example.com"], sites_domain="Example.com.")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("localhost:9000", ControlHost()),
        ("LOCALHOST.:1", ControlHost()),
        ("localhost:", ControlHost()),
        ("127.0.0.1:9000", ControlHost()),
        ("[::1]:9000", ControlHost()),
        ("[0:0::1]", ControlHost()),
        ("my-site.localhost:9000", SiteHost("my-site", None)),
        ("My-Site.LocalHost.", SiteHost("my-site", None)),
        ("k3v9x2.localhost", SiteHost("k3v9x2", None)),
        ("d1--my-site.localhost:9000", SiteHost("my-site", "d1")),
        ("d1--my--site.localhost", UnknownHost()),
        ("a.b.localhost", UnknownHost()),
        ("my_site.localhost", UnknownHost()),
        ("notlocalhost", UnknownHost()),
        ("localhost.evil.com", UnknownHost()),
        ("192.0.2.1", UnknownHost()),
        ("[2001:db8::1]", UnknownHost()),
    ],
)
def test_a_well_formed_host_is_told_apart(value: str, expected: Host) -> None:
    assert parse_host([value], "/", LOCAL) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("app.example.com", ControlHost()),
        ("blog.example.com", SiteHost("blog", None)),
        ("example.com", UnknownHost()),
        ("localhost", UnknownHost()),
    ],
)
def test_a_control_host_may_lie_under_the_sites_domain(value: str, expected: Host) -> None:
    assert parse_host([value], "/", HOSTED) == expected


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["localhost", "localhost"],
        ["localhost", "other"],
        [""],
        [" "],
        ["."],
        ["localhost.."],
        [".localhost"],
        ["a..localhost"],
        ["a,b"],
        ["a.localhost, b.localhost"],
        ["u@localhost"],
        ["localhost:99999"],
        ["localhost:-1"],
        ["localhost:9000:9000"],
        ["localhost:٣"],
        ["localhost/"],
        ["localhost\\"],
        ["local host"],
        ["localhost\0"],
        ["localhost\n"],
        ["http://localhost"],
        ["a" * 300],
        ["a" * 64 + ".localhost"],
        ["a." * 126 + "localhost"],
        ["-a.localhost"],
        ["a-.localhost"],
        ["--a.localhost"],
        ["%61.localhost"],
        ["caf\u00e9.localhost"],
        ["\u212aelvin.localhost"],
        ["\udcff.localhost"],
        ["::1"],
        ["[::1"],
        ["[::1]x"],
        ["[1.2.3.4]"],
        ["[:::]"],
        ["[fe80::1%25eth0]"],
    ],
)
def test_a_request_that_names_no_one_host_is_bad(values: list[str]) -> None:
    assert parse_host(values, "/", LOCAL) == BadHost()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", SiteHost("a", None)),
        ("*", SiteHost("a", None)),
        ("/http://other/", SiteHost("a", None)),
        ("http://a.localhost/", SiteHost("a", None)),
        ("HTTPS://A.localhost.:9000", SiteHost("a", None)),
        ("http://a.localhost?x", SiteHost("a", None)),
        ("http://other/", BadHost()),
        ("http://b.localhost/", BadHost()),
        ("http://a.localhost@other/", BadHost()),
        ("http://u@a.localhost/", BadHost()),
        ("http:///", BadHost()),
        ("ftp://a.localhost/", BadHost()),
    ],
)
def test_an_absolute_target_must_agree_with_the_host(target: str, expected: Host) -> None:
    assert parse_host(["a.localhost"], target, LOCAL) == expected


@pytest.mark.parametrize("name", ["", "a b", "http://localhost", "localhost:99999"])
def test_a_setting_that_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        Hostnames.of(control_hosts=[name], sites_domain="localhost")


@given(st.lists(st.text(), max_size=3), st.text())
def test_no_host_and_no_target_raises(values: list[str], target: str) -> None:
    parse_host(values, target, LOCAL)


@given(st.from_regex("[a-zA-Z0-9-]{1,70}", fullmatch=True))
def test_a_site_label_is_a_dns_label(label: str) -> None:
    host = parse_host([f"{label}.localhost"], "/", LOCAL)
    if isinstance(host, SiteHost):
        for part in (host.label, host.deployment_id or "x"):
            assert 0 < len(part) <= 63
            assert "--" not in part

from ipaddress import ip_address

import pytest

from builder.giturl import RefusedURL, is_public, parse_repo_url
from builder.route import Route, find_route

REFUSED = [
    "",
    "--upload-pack=x",
    "ext::sh -c x",
    "file:///etc",
    "ssh://-oProxyCommand=x/y",
    "git@h:-x",
    "git@github.com:a/b.git",
    "git://github.com/a/b",
    "https://u:tok@github.com/x",
    "https://tok@github.com/x",
    "https://github.com/a\nb",
    "https://github.com/a\tb",
    "https://github.com/a b",
    "https://github.com/" + "a" * 2048,
    "http://github.com/a/b",
    "http://127.1/a",
    "https://127.1/a",
    "https://0x7f000001/a",
    "https://0x7f.1/a",
    "https://2130706433/a",
    "https://017700000001/a",
    "https://127.0.0.1/a",
    "https://[::1]/a",
    "https://[::ffff:169.254.169.254]/a",
    "https://[64:ff9b::7f00:1]/a",
    "https://169.254.170.2/a",
    "https://metadata.google.internal/a",
    "https://localhost/a",
    "https://a.localhost/a",
    "https://intranet/a",
    "https://github.com\\@evil.example/x",
    "https://github.com:22/a",
    "https://github.com:6379/a",
    "https://github.com:0/a",
    "https://github.com:99999/a",
    "https://github.com/a?x=1",
    "https://github.com/a#x",
    "https://gіthub.com/a",
    "https://github.com",
    "https://-x.example/a",
    "HTTPS://github.com/a",
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_is_no_public_repository_is_refused(url: str) -> None:
    with pytest.raises(RefusedURL):
        parse_repo_url(url, allow_local=False, allow_file=False)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://github.com/vitejs/vite.git", "github.com", 443),
        ("https://GitLab.com/group/sub/project", "gitlab.com", 443),
        ("https://git.example.org:80/~user/a@b+c", "git.example.org", 80),
        ("https://93.184.216.34/a", "93.184.216.34", 443),
        ("https://[2606:2800:220:1::1]/a", "2606:2800:220:1::1", 443),
    ],
)
def test_a_public_address_is_accepted(url: str, host: str, port: int) -> None:
    parsed = parse_repo_url(url, allow_local=False, allow_file=False)
    assert (parsed.url, parsed.scheme, parsed.host, parsed.port) == (url, "https", host, port)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8123/a.git", "http://localhost/a", "https://10.0.0.1:3000/a"]
)
def test_local_addresses_are_a_setting(url: str) -> None:
    assert parse_repo_url(url, allow_local=True, allow_file=False).url == url


@pytest.mark.parametrize("url", ["file:///srv/a b", "file://host/a", "file:///", "ext::x", "http://127.1/a"])
def test_the_settings_admit_nothing_else(url: str) -> None:
    with pytest.raises(RefusedURL):
        parse_repo_url(url, allow_local=True, allow_file=True)


def test_a_file_needs_its_own_setting() -> None:
    assert parse_repo_url("file:///srv/a.git", allow_local=False, allow_file=True).scheme == "file"
    with pytest.raises(RefusedURL):
        parse_repo_url("file:///srv/a.git", allow_local=True, allow_file=False)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "fc00::1",
        "fd00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "3fff::1",
    ],
)
def test_an_address_that_is_not_global_unicast_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["140.82.121.3", "172.32.0.1", "2606:50c0:8000::153", "::ffff:8.8.8.8"])
def test_a_global_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_git_is_pinned_to_the_judged_address() -> None:
    url = parse_repo_url("https://127.0.0.1:8443/a", allow_local=True, allow_file=False)
    route = await find_route(url, {}, allow_local=True)
    assert route.config == ("http.curloptResolve=127.0.0.1:8443:127.0.0.1",)
    with pytest.raises(RefusedURL):
        await find_route(url, {}, allow_local=False)
    name = parse_repo_url("https://localhost/a", allow_local=True, allow_file=False)
    with pytest.raises(RefusedURL):
        await find_route(name, {}, allow_local=False)


@pytest.mark.parametrize(
    ("env", "proxied"),
    [
        ({"HTTPS_PROXY": "http://proxy:1"}, True),
        ({"all_proxy": "http://proxy:1"}, True),
        ({"HTTP_PROXY": "http://proxy:1"}, False),
        ({"https_proxy": "http://proxy:1", "NO_PROXY": "a.example, .0.0.1"}, False),
        ({"https_proxy": "http://proxy:1", "no_proxy": "*"}, False),
        ({"https_proxy": "http://proxy:1", "no_proxy": "other.example"}, True),
    ],
)
async def test_a_proxy_resolves_in_our_place_or_not_at_all(env: dict[str, str], proxied: bool) -> None:
    url = parse_repo_url("https://127.0.0.1/a", allow_local=True, allow_file=False)
    route = await find_route(url, env, allow_local=True)
    pinned = Route(
        ("http.curloptResolve=127.0.0.1:443:127.0.0.1",),
        ("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    )
    assert route == (Route((), ("no_proxy",)) if proxied else pinned)

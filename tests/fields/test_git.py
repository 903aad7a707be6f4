"""Git URLs and refs: what CASES calls hostile is refused, what people paste works."""

import pytest

from scalemesh.fields.git import GitRules, access_token, git_url, host_of, ref

PUBLIC = GitRules()
LOCAL = GitRules(allow_local=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/ada/site",
        "https://github.com/ada/site.git",
        "https://gitlab.example.org:443/group/sub/site.git",
        "https://git.example.co.uk/~ada/site",
        "https://8.8.8.8/ada/site.git",
    ],
)
def test_a_public_https_address_is_taken_as_it_is(url: str) -> None:
    assert git_url(url, PUBLIC) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "--upload-pack=x",
        "ext::sh -c x",
        "file:///etc",
        "ssh://-oProxyCommand=x/y",
        "ssh://git@github.com/ada/site",
        "git@h:-x",
        "git@github.com:ada/site.git",
        "git://github.com/ada/site",
        "https://u:tok@h.example/x",
        "https://tok@github.com/x",
        "https://github.com/a\nb",
        "https://github.com/a\tb",
        "https://github.com/a\n",
        "https://github.com/a b",
        "https://github.com/" + "a" * 2048,
        "http://github.com/ada/site",
        "http://127.1/",
        "https://127.1/x",
        "https://0x7f000001/x",
        "https://0x7f.1/x",
        "https://2130706433/x",
        "https://127.0.0.1/x",
        "https://0177.0.0.1/x",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:169.254.169.254]/x",
        "https://[64:ff9b::a9fe:a9fe]/x",
        "https://[2002:7f00:1::]/x",
        "https://169.254.169.254/latest",
        "https://169.254.170.2/x",
        "https://224.0.0.1/x",
        "https://metadata.google.internal/x",
        "https://localhost/x",
        "https://foo.localhost/x",
        "https://intranet/x",
        "https://nas.local/x",
        "https://github.com\\@evil.example/x",
        "https://github.com:22/x",
        "https://github.com:6379/x",
        "https://github.com:99999/x",
        "https://gïthub.com/x",
        "https://github.com",
        "https://github.com/",
        "https://-x.example/x",
        "https://a..b/x",
        "https://github.com/x?y=z",
        "https://github.com/x#y",
        "example:vite-react",
    ],
)
def test_a_hostile_or_private_address_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError) as refused:
        git_url(url, PUBLIC)
    assert str(refused.value).endswith((".", "/")) or "https://" in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x.git", "http://nas.local/x", "https://10.0.0.1/x"])
def test_a_closed_network_may_admit_local_repositories(url: str) -> None:
    assert git_url(url, LOCAL) == url


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/x", "http://127.1/x", "file:///etc", "http://u:p@127.0.0.1/x"]
)
def test_a_closed_network_still_refuses_metadata_and_odd_spellings(url: str) -> None:
    with pytest.raises(ValueError):
        git_url(url, LOCAL)


def test_only_allowed_hosts_are_taken_where_there_is_a_list() -> None:
    rules = GitRules(allowed_hosts=("git.example.com",))
    assert git_url("https://git.example.com/x", rules)
    with pytest.raises(ValueError, match=r"git\.example\.com"):
        git_url("https://github.com/x", rules)


def test_an_ssh_address_is_answered_with_its_https_address() -> None:
    with pytest.raises(ValueError, match=r"https://github\.com/ada/site\.git"):
        git_url("git@github.com:ada/site.git", PUBLIC)


def test_a_bundled_example_is_taken_where_there_is_one() -> None:
    rules = GitRules(examples=("vite-react",))
    assert git_url("example:vite-react", rules) == "example:vite-react"
    with pytest.raises(ValueError, match="no such example"):
        git_url("example:other", rules)


@pytest.mark.parametrize("name", ["main", "release/2.0", "v1.2.3", "feature/a-b_c", "a" * 40, "fix#12", "_x"])
def test_a_usual_ref_is_taken(name: str) -> None:
    assert ref(name) == name


def test_a_branch_has_one_name() -> None:
    assert ref("refs/heads/release/2.0") == "release/2.0"


@pytest.mark.parametrize(
    "name",
    [
        "-x", "a..b", "x.lock", "x.lock/y", "@{-1}", "main\n", "a;b", "$(x)", "a b", "a//b", "/a", "a/", "a.",
        ".a", "a/.b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a\x7f", "ä", "a" * 201,
        "refs/heads/a@{1}", "refs/heads/",
    ],
)  # fmt: skip
def test_a_ref_that_git_or_a_shell_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="branch, tag or commit"):
        ref(name)


@pytest.mark.parametrize(
    "token", ["ghp_0123456789abcdef", "deploy-bot:glpat-0123", " spaces-around ", "x" * 1024]
)
def test_a_token_or_a_login_is_taken(token: str) -> None:
    assert access_token(token) == token.strip()


@pytest.mark.parametrize("token", ["two words", "a\nb", "a\x00b", "ключ", "x" * 1025, " "])
def test_what_no_host_calls_a_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(ValueError, match="Use a token") as refused:
        access_token(token)
    assert token.strip() == "" or token not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://GitHub.com/Ada/site.git", "https://github.com"),
        ("https://git.example.org:443/x", "https://git.example.org:443"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
        ("example:vite-react", ""),
    ],
)
def test_who_sees_a_token_is_scheme_host_and_port(url: str, host: str) -> None:
    assert host_of(url) == host

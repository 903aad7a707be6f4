import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemesh.sites.paths import BadPath, decode_path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/", "/"),
        ("/a/b.html", "/a/b.html"),
        ("/a%20b", "/a b"),
        ("/a+b", "/a+b"),
        ("/caf%C3%A9", "/café"),
        ("/%f0%9f%8d%8c", "/🍌"),
        ("/a%2fb", "/a/b"),
        ("/%252e%252e/", "/%2e%2e/"),
        ("/%25", "/%"),
        ("/...", "/..."),
        ("/a..b/.c", "/a..b/.c"),
        ("//a//", "//a//"),
    ],
)
def test_a_path_is_decoded_once(raw: str, path: str) -> None:
    assert decode_path(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "*",
        "a",
        "/../../x",
        "/..%2f..%2fother/i.html",
        "/%2e%2e/",
        "/%2E%2e",
        "/a/./b",
        "/.",
        "/a/..",
        "/a%5c..%5cb",
        "/a\\b",
        "/a%00",
        "/a%0d%0aSet-Cookie:x",
        "/%7f",
        "/%c2%85",
        "/%ff",
        "/%c0%ae/",
        "/%ed%a0%80",
        "/%",
        "/%2",
        "/%zz",
        "/é",
        "/\udcff",
    ],
)
def test_a_path_made_to_be_misread_is_bad(raw: str) -> None:
    with pytest.raises(BadPath):
        decode_path(raw)


@given(st.text() | st.text("/.%2eE5cC0fF\\", max_size=20).map("/".__add__))
def test_a_decoded_path_can_not_climb(raw: str) -> None:
    try:
        path = decode_path(raw)
    except BadPath:
        return
    assert path.startswith("/")
    assert "\\" not in path
    assert not {".", ".."} & set(path.split("/"))

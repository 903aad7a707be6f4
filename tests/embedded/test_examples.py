import subprocess
from pathlib import Path

import pytest

from scalemesh.examples import EXAMPLES, ExamplesNotPrepared, example_repository, prepare_examples

SOURCE = Path(__file__).parents[2] / "examples"


def git(repository: Path, *arguments: str) -> str:
    command = ["git", f"--git-dir={repository}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for example in EXAMPLES:
        write(tmp_path / "source" / example.slug, {"index.html": example.title})
    return tmp_path / "source"


async def test_every_bundled_example_can_be_cloned(tmp_path: Path) -> None:
    await prepare_examples(SOURCE, tmp_path)
    for example in EXAMPLES:
        repository = example_repository(tmp_path, example.git_url)
        assert repository is not None
        clone = tmp_path / "clones" / example.slug
        git(repository, "clone", "--quiet", f"file://{repository}", str(clone))
        for file in git(repository, "ls-tree", "-r", "--name-only", "main").splitlines():
            assert (clone / file).read_bytes() == (SOURCE / example.slug / file).read_bytes()
        assert "<title>" in (clone / "index.html").read_text()


async def test_the_same_files_are_the_same_commit_everywhere(source: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        await prepare_examples(source, tmp_path / name)
    one, two = (git(tmp_path / name / "plain-html.git", "rev-parse", "main") for name in ("one", "two"))
    assert one == two
    assert git(tmp_path / "one" / "plain-html.git", "fsck", "--strict") == ""


async def test_a_current_repository_is_left_alone(source: Path, tmp_path: Path) -> None:
    await prepare_examples(source, tmp_path / "made")
    ref = tmp_path / "made" / "plain-html.git" / "refs" / "heads" / "main"
    before = ref.stat().st_mtime_ns
    await prepare_examples(source, tmp_path / "made")
    assert ref.stat().st_mtime_ns == before


async def test_a_changed_example_gets_its_new_commit(source: Path, tmp_path: Path) -> None:
    await prepare_examples(source, tmp_path / "made")
    write(source, {"plain-html/index.html": "newer", "plain-html/css/a.css": "a"})
    await prepare_examples(source, tmp_path / "made")
    repository = tmp_path / "made" / "plain-html.git"
    assert git(repository, "show", "main:index.html") == "newer"
    assert git(repository, "show", "main:css/a.css") == "a"


async def test_packages_and_builds_and_links_are_no_source(source: Path, tmp_path: Path) -> None:
    write(source / "vite-react", {"node_modules/a/b.js": "", "dist/index.html": "", "src/dist.js": ""})
    (source / "vite-react" / "link").symlink_to("/etc/hostname")
    await prepare_examples(source, tmp_path / "made")
    files = git(tmp_path / "made" / "vite-react.git", "ls-tree", "-r", "--name-only", "main")
    assert files.splitlines() == ["index.html", "src/dist.js"]


async def test_the_users_git_settings_change_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"settings": "[init]\n\ttemplateDir = /none\n[broken\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    monkeypatch.setenv("GIT_DIR", "/none")
    await prepare_examples(source, tmp_path / "made")
    assert (tmp_path / "made" / "plain-html.git" / "HEAD").exists()


async def test_without_git_the_sentence_says_so(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExamplesNotPrepared, match="there is no `git` on PATH"):
        await prepare_examples(source, tmp_path / "made")


@pytest.mark.parametrize(
    "url", ["https://example.com/a.git", "example:", "example:../x", "example:PLAIN-HTML"]
)
def test_any_other_url_is_no_example(url: str, tmp_path: Path) -> None:
    assert example_repository(tmp_path, url) is None

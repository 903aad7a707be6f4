"""Why a command failed, from what the tools really print: ``said`` holds what they printed here."""

import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from builder.errors import Code, Failure
from builder.explain import Ended, Facts, explain
from builder.log import Phase
from builder.rules import RULES
from builder.text import LineReader
from tests.builder.running import Builder
from tests.parts.git import GitServer

SAID = Path(__file__).parent / "said"
FIRST_SEQ = 20
FACTS = Facts(
    repo=PurePosixPath("/workspace/repo"),
    root=PurePosixPath("."),
    files=frozenset(
        {
            "app/page.js",
            "components/Button.js",
            "package.json",
            "src/a.ts",
            "src/components/Foo.js",
            "src/components/bar.ts",
            "src/main.js",
        }
    ),
    submodules=("themes/ananke", "vendor/lib"),
    scripts=("dev", "start"),
)
PRIVATE = "@scalemesh-nobody/private-thing"
TABLE = [
    # what was printed, the code, a part of the message, a part of the hint, a part of the line
    ("node-heap", Code.OUT_OF_MEMORY, "more memory", "--max-old-space-size=3072", "heap out of memory"),
    ("worker-heap", Code.OUT_OF_MEMORY, "more memory", "NODE_OPTIONS", "reaching memory limit"),
    ("npm-killed", Code.OUT_OF_MEMORY, "`npm run build` was killed", "4,096 MiB", "Killed"),
    ("pnpm-killed", Code.OUT_OF_MEMORY, "was killed", "4,096 MiB", "Killed"),
    ("npm-engine", Code.WRONG_NODE, "Node.js 20.20.2, and it asks for >=30.", ".nvmrc", "a@1.0.0"),
    ("pnpm-engine", Code.WRONG_NODE, "20.20.2, and it asks for >=30.", ".nvmrc", "UNSUPPORTED_ENGINE"),
    ("yarn-engine", Code.WRONG_NODE, "20.20.2, and it asks for >=30.", ".nvmrc", "The engine"),
    ("next-engine", Code.WRONG_NODE, "16.20.2, and it asks for ^18.18.0", ".nvmrc", "For Next.js"),
    ("vite-engine", Code.WRONG_NODE, "18.20.8, and it asks for 20.19+ or 22.12+.", ".nvmrc", "You are using"),
    ("astro-engine", Code.WRONG_NODE, "16.20.2, and it asks for >=18.20.8.", ".nvmrc", "by Astro"),
    ("node18-vite8", Code.WRONG_NODE, "too old for this build", ".nvmrc", "styleText"),
    ("node14-vite5", Code.WRONG_NODE, "Unexpected token '??='", ".nvmrc", "SyntaxError"),
    ("node12-syntax", Code.WRONG_NODE, "Unexpected token '?'", ".nvmrc", "SyntaxError"),
    ("openssl", Code.WRONG_NODE, "too new", "--openssl-legacy-provider", "digital envelope"),
    ("npm-lock-out-of-step", Code.LOCKFILE_OUT_OF_DATE, "is-number@7.0.0", "commit the", "Invalid: lock"),
    ("npm-no-lock", Code.LOCKFILE_OUT_OF_DATE, "no lock file", "commit the", "existing package-lock.json"),
    ("pnpm-lock-out-of-step", Code.LOCKFILE_OUT_OF_DATE, "added: is-odd@3.0.1", "commit the", "* 1 depend"),
    (
        "yarn-lock-out-of-step",
        Code.LOCKFILE_OUT_OF_DATE,
        "does not match",
        "commit the",
        "needs to be updated",
    ),
    ("berry-lock-out-of-step", Code.LOCKFILE_OUT_OF_DATE, '(is-number: "npm:7.0.0")', "commit", "YN0028"),
    ("berry-no-lock", Code.LOCKFILE_OUT_OF_DATE, "no lock file", "commit the", "YN0028"),
    (
        "npm-missing-script",
        Code.SCRIPT_MISSING,
        "script named build. It has dev, start.",
        "scripts",
        "Missing",
    ),
    ("pnpm-missing-script", Code.SCRIPT_MISSING, "script named build. It has dev,", "scripts", "NO_SCRIPT"),
    ("yarn-missing-script", Code.SCRIPT_MISSING, "script named build. It has dev,", "scripts", "Command"),
    (
        "berry-missing-script",
        Code.SCRIPT_MISSING,
        "script named build. It has dev,",
        "scripts",
        "Usage Error",
    ),
    ("npm-command-not-found", Code.COMMAND_NOT_FOUND, "command vite was", "devDependencies", "not found"),
    ("pnpm-command-not-found", Code.COMMAND_NOT_FOUND, "command vite was", "devDependencies", "not found"),
    ("yarn-command-not-found", Code.COMMAND_NOT_FOUND, "command vite was", "devDependencies", "not found"),
    ("berry-command-not-found", Code.COMMAND_NOT_FOUND, "command vite was", "devDependencies", "not found"),
    (
        "sh-command-not-found",
        Code.COMMAND_NOT_FOUND,
        "command hugo was",
        "builder does not have",
        "not found",
    ),
    (
        "npm-peer-conflict",
        Code.DEPENDENCY_CONFLICT,
        "react@^18.2.0, but react@19.0.0",
        "--legacy",
        "peer react@",
    ),
    ("npm-404", Code.PACKAGE_UNAVAILABLE, f"no {PRIVATE}@1.0.0", "=${NPM_TOKEN}", "could not be found"),
    ("pnpm-404", Code.PACKAGE_UNAVAILABLE, f"no {PRIVATE}, ", "=${NPM_TOKEN}", "FETCH_404"),
    ("yarn-404", Code.PACKAGE_UNAVAILABLE, f"no {PRIVATE}, ", "=${NPM_TOKEN}", "Couldn't find package"),
    ("berry-404", Code.PACKAGE_UNAVAILABLE, f"no {PRIVATE}, ", "=${NPM_TOKEN}", "Package not found"),
    ("npm-401", Code.PACKAGE_UNAVAILABLE, "wants a token", "=${NPM_TOKEN}", "E401"),
    ("pnpm-401", Code.PACKAGE_UNAVAILABLE, "no @corp/thing, ", "=${NPM_TOKEN}", "FETCH_401"),
    ("npm-no-version", Code.PACKAGE_UNAVAILABLE, "no is-number@99.0.0, ", "version", "No matching version"),
    ("pnpm-no-version", Code.PACKAGE_UNAVAILABLE, "no is-number@99.0.0, ", "version", "No matching version"),
    ("npm-git-dependency", Code.PACKAGE_UNAVAILABLE, "ssh://git@127.0.0.1:9/o/x.git", "public", "ls-remote"),
    ("npm-no-host", Code.NETWORK_UNREACHABLE, "reach registry.nowhere.invalid.", "again", "ENOTFOUND regist"),
    ("npm-refused", Code.NETWORK_UNREACHABLE, "reach 127.0.0.1:9.", "again", "ECONNREFUSED"),
    ("pnpm-refused", Code.NETWORK_UNREACHABLE, "reach 127.0.0.1:9.", "again", "ECONNREFUSED"),
    ("yarn-refused", Code.NETWORK_UNREACHABLE, "reach 127.0.0.1:9.", "again", "ECONNREFUSED"),
    ("next-next-export", Code.NEXT_EXPORT_MISSING, "`next export`", "output: 'export'", "has been removed"),
    ("next-dynamic", Code.NEXT_EXPORT_MISSING, "can't export /api/x ", "static", '"/api/x"'),
    ("next-force-dynamic", Code.NEXT_EXPORT_MISSING, "can't export / ", "static", "prerendering page"),
    ("vite8-case", Code.IMPORT_CASE, "src/main.js imports ./components/foo.js, but", "git mv", "Could not"),
    ("vite5-case", Code.IMPORT_CASE, "but the file is src/components/Foo.js", "git mv", "Could not resolve"),
    ("vite-alias-case", Code.IMPORT_CASE, "is src/components/Foo.vue", "git mv", "Could not load"),
    ("webpack-case", Code.IMPORT_CASE, "is src/components/Foo.js", "git mv", "Can't resolve"),
    ("next-case", Code.IMPORT_CASE, "page.js imports ../components/button, but", "git mv", "Can't resolve"),
    ("esbuild-case", Code.IMPORT_CASE, "imports src/components/foo.js, but", "git mv", "Cannot read file"),
    ("tsc-case", Code.IMPORT_CASE, "is src/components/bar.ts", "git mv", "TS2307"),
    ("node-case", Code.IMPORT_CASE, "src/n.js imports src/components/foo.js, but", "git mv", "Cannot find"),
    ("node-case-cjs", Code.IMPORT_CASE, "is src/components/Foo.cjs", "git mv", "Cannot find module"),
    ("vite-submodule", Code.SUBMODULE_MISSING, "needs vendor/lib, ", "git submodule update", "Could not res"),
    (
        "hugo-submodule",
        Code.SUBMODULE_MISSING,
        "needs themes/ananke, ",
        "git submodule update",
        "not found in",
    ),
    ("esbuild-no-file", Code.IMPORT_NOT_FOUND, "no file src/nothing", ".gitignore", "Could not resolve"),
    (
        "vite5-no-package",
        Code.IMPORT_NOT_FOUND,
        "missing-package, which",
        "npm install missing-",
        "failed to",
    ),
    (
        "vite8-no-package",
        Code.IMPORT_NOT_FOUND,
        "missing-package, which",
        "npm install missing-",
        "failed to",
    ),
    (
        "vite-no-plugin",
        Code.IMPORT_NOT_FOUND,
        "vite.config.js imports @vitejs/",
        "install @vitejs",
        "Cannot find",
    ),
    ("next-variable", Code.VARIABLE_MISSING, "variable DATABASE_URL", "Add DATABASE_URL", "[cause]: Error"),
    ("envalid", Code.VARIABLE_MISSING, "variable API_KEY", "Add API_KEY", "API_KEY"),
    ("t3-env", Code.VARIABLE_MISSING, "variable DATABASE_URL", "Add DATABASE_URL", "path: ["),
    ("dotenv-safe", Code.VARIABLE_MISSING, "variable API_BASE_URL", "Add API_BASE_URL", "  API_BASE_URL"),
    ("reference-error", Code.VARIABLE_MISSING, "variable API_TOKEN", "Add API_TOKEN", "ReferenceError"),
    ("not-set", Code.VARIABLE_MISSING, "variable CONTENTFUL_TOKEN", "Add CONT", "Error: CONTENTFUL_TOKEN"),
]
EXTRA_FILES = {
    "node-case-cjs": "src/components/Foo.cjs",
    "vite-alias-case": "src/components/Foo.vue",
}


def lines_of(raw: bytes) -> list[str]:
    """As they reach the log."""
    reader = LineReader(lambda line: line)
    return reader.feed(raw) + reader.finish()


def explained(lines: list[str], facts: Facts = FACTS, *, status: int = 1) -> Failure:
    ended = Ended(Phase.BUILD, "npm run build", status, tuple(enumerate(lines, FIRST_SEQ)))
    return explain(ended, facts, RULES).failure


@pytest.mark.parametrize(("name", "code", "message", "hint", "line"), TABLE, ids=[row[0] for row in TABLE])
def test_what_a_tool_prints_is_explained(name: str, code: Code, message: str, hint: str, line: str) -> None:
    lines = lines_of((SAID / f"{name}.txt").read_bytes())
    extra = {EXTRA_FILES[name]} if name in EXTRA_FILES else set()
    failure = explained(lines, replace(FACTS, files=FACTS.files - {"src/components/Foo.js"} | extra))
    if not extra:
        failure = explained(lines)
    assert failure.code is code, failure
    assert message in failure.message
    assert hint in failure.hint
    assert failure.line is not None
    assert line in lines[failure.line - FIRST_SEQ].replace("\x1b[22m", "").replace("\x1b[39m", "")


def test_every_captured_output_is_in_the_table() -> None:
    assert {path.stem for path in SAID.iterdir()} == {row[0] for row in TABLE}


def test_nothing_known_gives_the_first_line_that_looks_like_an_error() -> None:
    failure = explained(["> site@1.0.0 build", "doing things", "Error: the moon is wrong", "  at x.js:1", ""])
    assert (failure.code, failure.line) == (Code.BUILD_FAILED, FIRST_SEQ + 2)
    assert f"Line {FIRST_SEQ + 2} says “Error: the moon is wrong”. " in failure.hint
    assert "exit status 1." in failure.message


@pytest.mark.parametrize("lines", [[], ["", " "]])
def test_a_command_that_printed_nothing_is_said_to_have_printed_nothing(lines: list[str]) -> None:
    failure = explained(lines, status=3)
    assert (failure.code, failure.line) == (Code.BUILD_FAILED, None)
    assert "It printed nothing." in failure.hint
    assert "exit status 3." in failure.message


def test_a_kill_without_a_word_is_want_of_memory() -> None:
    failure = explained(["working"], status=137)
    assert (failure.code, failure.line) == (Code.OUT_OF_MEMORY, FIRST_SEQ)


def test_a_variable_that_is_set_is_not_called_missing() -> None:
    lines = ["Error: CONTENTFUL_TOKEN is not set"]
    assert explained(lines).code is Code.VARIABLE_MISSING
    assert (
        explained(lines, replace(FACTS, variables=frozenset({"CONTENTFUL_TOKEN"}))).code is Code.BUILD_FAILED
    )


def test_a_listed_command_points_to_the_install() -> None:
    lines = ["sh: 1: tsc: not found"]
    assert "Add typescript to devDependencies" in explained(lines).hint
    listed = replace(FACTS, dependencies=frozenset({"typescript"}))
    assert "package.json lists typescript" in explained(lines, listed).hint
    assert "does not have it" in explained(lines, replace(FACTS, has_package=False)).hint


def test_paths_are_told_from_the_root_directory() -> None:
    facts = replace(FACTS, root=PurePosixPath("apps/web"), files=frozenset({"apps/web/src/lib/Foo.js"}))
    failure = explained(['Could not resolve "./lib/foo.js" from "src/main.js"'], facts)
    assert (
        "apps/web/src/main.js imports ./lib/foo.js, but the file is apps/web/src/lib/Foo.js"
        in failure.message
    )


def test_a_module_of_node_itself_is_no_package_to_add() -> None:
    assert explained(["Module not found: Error: Can't resolve 'fs' in '/workspace/repo/src'"]).code is (
        Code.BUILD_FAILED
    )


def test_a_hostile_output_is_judged_in_no_time() -> None:
    lines = [
        "ERESOLVE Found: a " * 30,
        "Error: A_B " * 50,
        "Could not resolve 'a' from 'b " * 20,
        "Invalid environment variables: { path: [ " * 12,
    ] * 100
    started_s = time.process_time()
    explained(lines, replace(FACTS, files=frozenset(f"src/{n}.js" for n in range(20_000))))
    # It takes half a second, and a pattern that goes back over what it has read takes hours.
    assert time.process_time() - started_s < 60


async def test_a_failed_build_names_its_cause_and_line(builder: Builder, git_server: GitServer) -> None:
    usage = "npm error   usage\n" * 150
    url = await git_server.make_repo(
        "explained",
        {
            "package.json": '{"scripts": {"build": "sh build.sh"}}',
            "build.sh": f"cat said; cat >&2 <<E\n{usage}E\nexit 1",
            "said": (SAID / "vite5-case.txt").read_bytes(),
            "src/components/Foo.js": "export default 1",
        },
    )
    built = await builder.run(url)
    assert built.exit == 1
    error = built.result["error"]
    assert error["code"] == "import_case"
    assert error["message"].startswith(
        "src/main.js imports ./components/foo.js, but the file is src/components/Foo.js"
    )
    line = next(record for record in built.records if record.get("seq") == error["line"])
    assert "Could not resolve" in line["text"]


async def test_a_command_that_leaves_links_behind_shows_nothing_of_the_machine(
    builder: Builder, git_server: GitServer
) -> None:
    escape = 'cd ..; mv repo old; ln -s /etc repo; echo \'Could not resolve "./PASSWD" from "x.js"\'; exit 1'
    url = await git_server.make_repo("escape", {"index.html": "hi"})
    built = await builder.run(url, BUILD_COMMAND=escape)
    assert built.code == "import_not_found"
    assert "passwd" not in built.result["error"]["message"]

"""The table of known failures. The patterns are of output that the tools really print.

A rule for one cause stands before one for what that cause leads to. ``tests/builder/said`` holds what
each tool printed.
"""

import re
from urllib.parse import unquote

from builder import imports
from builder.errors import Code
from builder.explain import Facts, Rule, Words


def _any(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.MULTILINE) for pattern in patterns)


_NPM = r"npm (?:error|ERR!)"
_NAME = r"(?P<name>[A-Z][A-Z0-9_]+)"
_ABSENT = r"(?:not (?:set|defined|provided|present)|undefined|missing|required)"
_LONG_NAME = r"(?P<name>[A-Z][A-Z0-9]*_[A-Z0-9_]+)"

_PACKAGE_OF_TOOL = {
    "docusaurus": "@docusaurus/core",
    "eleventy": "@11ty/eleventy",
    "ng": "@angular/cli",
    "postcss": "postcss-cli",
    "react-router": "@react-router/dev",
    "remix": "@remix-run/dev",
    "svelte-kit": "@sveltejs/kit",
    "tailwindcss": "@tailwindcss/cli",
    "tsc": "typescript",
    "vue-cli-service": "@vue/cli-service",
    "webpack": "webpack-cli",
}
_NOT_OF_NPM = re.compile(
    r"bash|bundle|cargo|composer|curl|deno|docker|go|hugo|java|jekyll|make|mdbook|mkdocs|pelican|perl|php|pip3?"
    r"|poetry|python3?|rake|ruby|rustc|sphinx-build|uv|wget|zola"
)


def _tool(match: re.Match[str], facts: Facts) -> Words | None:
    tool = match["tool"].rpartition("/")[2]
    package = _PACKAGE_OF_TOOL.get(tool, tool)
    if not facts.has_package or _NOT_OF_NPM.fullmatch(tool):
        todo = "This builder does not have it. Let the install command fetch it, or build without it."
    elif package in facts.dependencies:
        todo = f"package.json lists {package}, so the install left it out: look at the install's lines."
    else:
        todo = f"Add {package} to devDependencies in package.json, and commit the lock file with it."
    return {"tool": tool, "todo": todo}


def _memory(match: re.Match[str], facts: Facts) -> Words:
    mib = facts.memory_bytes // 1024**2
    return {"limit": f"{mib:,}", "heap": str(mib * 3 // 4)}


def _scripts(match: re.Match[str], facts: Facts) -> Words | None:
    there = f"It has {', '.join(facts.scripts[:10])}." if facts.scripts else "It has no scripts."
    return {"there": there}


def _package(match: re.Match[str], facts: Facts) -> Words | None:
    groups = match.groupdict()
    if groups.get("url"):
        return {"package": unquote(groups["url"].partition("//")[2].partition("/")[2])}
    return {}


def _peer(match: re.Match[str], facts: Facts) -> Words:
    return {"peer": match["peer"].replace('"', "")}


def _unset(match: re.Match[str], facts: Facts) -> Words | None:
    return None if match["name"] in facts.variables else {}


def _named_submodule(match: re.Match[str], facts: Facts) -> Words | None:
    for path in facts.submodules:
        if re.search(rf"(?<![\w.-]){re.escape(path)}(?![\w-])", match[0]):
            return {"submodule": path}
    return None


_SUBMODULE = (
    "The build needs {submodule}, which is a git submodule, and submodules are not fetched.",
    "Commit its files to this repository, or put `git submodule update --init --depth 1 && ` in front of the "
    "install command where anybody may read it.",
)
_TOO_OLD = (
    "Name a Node.js version that suits in .nvmrc or under engines in package.json. The log's line "
    "“Node.js:” says which one the build had and why."
)
_KILLED = (
    "`{command}` was killed, as happens when memory runs out.",
    "The whole build may use {limit} MiB. Build with less: no source maps, fewer parallel workers.",
)
_LOCK_HINT = "Install once on your machine, commit the changed lock file and deploy again."
_PRIVATE_HINT = (
    "Check the name and version. For a private package put its registry's token into a variable under "
    "Settings, such as NPM_TOKEN, and name it in .npmrc: //registry.example.com/:_authToken=${{NPM_TOKEN}}"
)
_VARIABLE = (
    "The build needs the environment variable {name}, which is not set.",
    "Add {name} under Settings, Environment variables, and deploy again.",
)
_EXPORT_HINT = (
    "Only files are served. Make it static (generateStaticParams, no force-dynamic, no API route), or leave "
    "it out."
)

RULES = (
    Rule(
        Code.OUT_OF_MEMORY,
        _any(
            r"JavaScript heap out of memory|Reached heap limit",
            r"Worker terminated due to reaching memory limit",
        ),
        "`{command}` needed more memory than Node.js gives it.",
        "Add the variable NODE_OPTIONS=--max-old-space-size={heap} under Settings (the whole build may use "
        "{limit} MiB), or build with less: no source maps, fewer workers.",
        words=_memory,
    ),
    Rule(
        Code.OUT_OF_MEMORY,
        _any(r"Cannot allocate memory|std::bad_alloc|memory allocation of \d+ bytes failed"),
        "`{command}` ran out of memory.",
        "The whole build may use {limit} MiB. Build with less: no source maps, fewer parallel workers.",
        words=_memory,
    ),
    Rule(Code.OUT_OF_MEMORY, _any(r"^Killed$"), *_KILLED, words=_memory),
    Rule(Code.OUT_OF_MEMORY, _any(r"\Z"), *_KILLED, words=_memory, statuses=frozenset({137})),
    Rule(
        Code.WRONG_NODE,
        _any(
            rf"{_NPM} notsup Not compatible with your version of node/npm: (?P<package>\S+)\n"
            rf"{_NPM} notsup Required: \{{.*?\"node\":\"(?P<wanted>[^\"\n]+)\".*\n"
            rf"{_NPM} notsup Actual: .*?\"node\":\"v?(?P<has>[^\"\n]+)\"",
            r"The engine \"node\" is incompatible with this module\. "
            r"Expected version \"(?P<wanted>[^\"\n]+)\"\. Got \"(?P<has>[^\"\n]+)\"",
            r"ERR_PNPM_UNSUPPORTED_ENGINE[\s\S]{0,300}?"
            r"Expected version: (?P<wanted>.+)\nGot: v?(?P<has>\S+)",
            r"You are using Node\.js (?P<has>[\d.]+)\. "
            r"For Next\.js, Node\.js version \"(?P<wanted>[^\"\n]+)\" is",
            r"You are using Node\.js (?P<has>[\d.]+)\. "
            r"[\w.]+ requires Node\.js version (?P<wanted>.+?)\. Please",
            r"Node\.js v?(?P<has>[\d.]+) is not supported by .+\n"
            r".*supported version: \"(?P<wanted>[^\"\n]+)\"",
        ),
        "The build ran on Node.js {has}, and it asks for {wanted}.",
        _TOO_OLD,
    ),
    Rule(
        Code.WRONG_NODE,
        _any(
            r"(?P<said>error:0308010C:digital envelope routines::unsupported)",
            r"(?P<said>ERR_OSSL_EVP_UNSUPPORTED)",
        ),
        "Node.js is too new for this build's webpack 4: {said}.",
        "Update webpack to 5 or the framework that brings it, or add the variable "
        "NODE_OPTIONS=--openssl-legacy-provider under Settings.",
    ),
    Rule(
        Code.WRONG_NODE,
        _any(
            r"SyntaxError: (?P<said>Unexpected token '(?:\?\?=|\|\|=|&&=)')",
            r"SyntaxError: (?P<said>The requested module 'node:[\w/]+' "
            r"does not provide an export named '\w+')",
            r"SyntaxError: (?P<said>Unexpected (?:token '[?.]'|reserved word))\n\s+at .*\(internal/modules/",
            r"(?P<said>No such built-in module: node:\S+)",
            r"(?P<said>(?:crypto\.hash|Object\.hasOwn|\.toSorted|Promise\.withResolvers) is not a function)",
            r"(?P<said>(?:structuredClone|CustomEvent|File) is not defined)",
        ),
        "Node.js is too old for this build: {said}.",
        _TOO_OLD,
    ),
    Rule(
        Code.LOCKFILE_OUT_OF_DATE,
        _any(
            r"can only install packages when your package\.json and[\s\S]{0,400}?\n"
            rf"(?P<line>{_NPM} (?P<detail>(?:Missing|Invalid): .+))",
            r"ERR_PNPM_OUTDATED_LOCKFILE[\s\S]{0,800}?\n(?P<line>\* (?P<detail>.+))",
            r"YN0028: │ [+-] +(?P<detail>\S.*)",
        ),
        "`{command}` failed: the lock file does not match package.json ({detail}).",
        _LOCK_HINT,
    ),
    Rule(
        Code.LOCKFILE_OUT_OF_DATE,
        _any(
            r"can only install with an existing package-lock\.json",
            r"ERR_PNPM_NO_LOCKFILE",
            r"The lockfile would have been created by this install",
        ),
        "`{command}` failed: there is no lock file to install from.",
        _LOCK_HINT,
    ),
    Rule(
        Code.LOCKFILE_OUT_OF_DATE,
        _any(
            r"can only install packages when your package\.json and",
            r"ERR_PNPM_(?:OUTDATED_LOCKFILE|LOCKFILE_CONFIG_MISMATCH|LOCKFILE_BREAKING_CHANGE)",
            r"Your lockfile needs to be updated",
            r"YN0028",
        ),
        "`{command}` failed: the lock file does not match package.json.",
        _LOCK_HINT,
    ),
    Rule(
        Code.SCRIPT_MISSING,
        _any(
            r"Missing script: \"?(?P<script>[\w:.-]+)\"?",
            r"^error Command \"(?P<script>[\w:.-]+)\" not found\.",
            r"Couldn't find a script named \"(?P<script>[^\"\n]+)\"",
        ),
        "package.json has no script named {script}. {there}",
        "Add it to scripts in package.json, or set the project's build command.",
        words=_scripts,
    ),
    Rule(
        Code.COMMAND_NOT_FOUND,
        _any(
            r"^(?:/\S+/)?(?:ba|da)?sh: (?:line )?(?:\d+: )?(?P<tool>[^\s:]+): (?:command )?not found$",
            r"^command not found: (?P<tool>\S+)$",
        ),
        "The command {tool} was not found.",
        "{todo}",
        words=_tool,
    ),
    Rule(
        Code.DEPENDENCY_CONFLICT,
        _any(
            r"ERESOLVE[\s\S]{0,400}?Found: (?P<found>\S+)[\s\S]{0,1500}?"
            rf"(?P<line>^{_NPM} +peer (?P<peer>\S+) from (?P<package>\S+))"
        ),
        "{package} needs {peer}, but {found} is asked for too.",
        "Bring the two versions together in package.json, or set the install command to "
        "`npm install --legacy-peer-deps`.",
        words=_peer,
    ),
    Rule(
        Code.DEPENDENCY_CONFLICT,
        _any(r"ERESOLVE", r"ERR_PNPM_PEER_DEP_ISSUES"),
        "`{command}` failed: dependencies ask for versions of one package that exclude one another.",
        "Bring their versions together in package.json. The log names them.",
    ),
    Rule(
        Code.PACKAGE_UNAVAILABLE,
        _any(
            rf"{_NPM} 404\s+(?:The requested resource )?'(?P<package>[^'\n]+)' "
            r"(?:could not be found|is not in)",
            r"ERR_PNPM_FETCH_40[134]\s+GET (?P<url>\S+): ",
            r"Couldn't find package \"(?P<package>[^\"\n]+)\"",
            r"YN0035: │ (?P<package>\S+?)@npm:\S+ Package not found",
            r"No matching version found for (?P<package>\S+?)\.?(?:$| while)",
        ),
        "The registry has no {package}, or does not give it to this build.",
        _PRIVATE_HINT,
        words=_package,
    ),
    Rule(
        Code.PACKAGE_UNAVAILABLE,
        _any(rf"{_NPM} code E(?P<status>40[13])", r"YN0041: .*"),
        "The registry wants a token for one of the packages, or has refused the one it got.",
        _PRIVATE_HINT,
    ),
    Rule(
        Code.PACKAGE_UNAVAILABLE,
        _any(r"git (?:--no-replace-objects )?ls-remote (?:-\S+ )*(?P<repository>\S+)"),
        "A dependency is the git repository {repository}, which the build can't read.",
        "Name it by its public https:// address, or publish it as a package.",
    ),
    Rule(
        Code.NETWORK_UNREACHABLE,
        _any(
            r"(?:getaddrinfo (?:ENOTFOUND|EAI_AGAIN)"
            r"|connect (?:ECONNREFUSED|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)) (?P<host>[\w.:\[\]-]+)",
            r"(?:network timeout at:|ERR_SOCKET_TIMEOUT) (?P<host>\S+)",
        ),
        "The build could not reach {host}.",
        "Deploy again in a minute. If it stays so, check the address: a build reaches the internet, and "
        "neither private networks nor servers on your own machine.",
    ),
    Rule(
        Code.NEXT_EXPORT_MISSING,
        _any(r"(?P<line>`?next export`? has been removed)"),
        "The build runs `next export`, which Next.js no longer has.",
        "Take `next export` out of the script, and set output: 'export' in next.config.js.",
    ),
    Rule(
        Code.NEXT_EXPORT_MISSING,
        _any(
            r"page \"(?P<page>[^\"\n]+)\" cannot be used with \"output: export\"",
            r"[Pp]age \"(?P<page>[^\"\n]+)\" is missing \"(?:exported function )?\"?generateStaticParams",
            r"prerendering page \"(?P<page>[^\"\n]+)\".*\n.*couldn't be exported",
        ),
        "Next.js can't export {page} as a file: it needs a running server.",
        _EXPORT_HINT,
    ),
    Rule(
        Code.IMPORT_CASE,
        imports.PATTERNS,
        "{by} imports {spec}, but the file is {actual}: they differ in upper and lower case.",
        "Write the import as the file is named, or rename the file with `git mv`. macOS and Windows take one "
        "for the other; Linux does not.",
        words=imports.other_case,
    ),
    Rule(Code.SUBMODULE_MISSING, imports.PATTERNS, *_SUBMODULE, words=imports.in_submodule),
    Rule(
        Code.SUBMODULE_MISSING,
        _any(r"^.*(?:not found|[Nn]o such file|ENOENT|[Cc]annot|[Cc]an't|[Cc]ould not|[Uu]nable|failed).*$"),
        *_SUBMODULE,
        words=_named_submodule,
    ),
    Rule(
        Code.IMPORT_NOT_FOUND,
        imports.PATTERNS,
        "{by} imports {spec}, and there is no file {wanted}.",
        "Commit the file, or correct the import. A file that .gitignore names never reaches the build.",
        words=imports.missing_file,
    ),
    Rule(
        Code.IMPORT_NOT_FOUND,
        imports.PATTERNS,
        "{by} imports {package}, which package.json does not list.",
        "Run `{add} {package}`, and commit package.json and the lock file.",
        words=imports.missing_package,
    ),
    Rule(
        Code.IMPORT_NOT_FOUND,
        imports.PATTERNS,
        "{by} imports {spec}, which is not installed although package.json lists {package}.",
        "Look at the install's lines: a NODE_ENV=production or --omit=dev leaves packages out.",
        words=imports.listed_package,
    ),
    Rule(
        Code.VARIABLE_MISSING,
        _any(
            rf"(?:Missing|Invalid|Required).{{0,20}} environment variables?:? +[\"'`]?{_NAME}\b",
            rf"[Ee]nvironment [Vv]ariables? (?:not found:? |not set:? |is missing:? )?[\"'`]?{_NAME}\b",
            rf"Missing environment variables:\n(?P<line>\s+{_NAME}): ",
            rf"Invalid environment variables: [\[{{][\s\S]{{0,400}}?(?P<line>path: \[ '{_NAME}')",
            rf"not present in the environment:\n(?P<line>\s+{_NAME})",
            rf"Error: .*?\b{_LONG_NAME}\b.{{0,20}}? {_ABSENT}",
            rf"Error: .*\b(?:process|import\.meta)\.env\.{_NAME}",
            rf"^\W*{_LONG_NAME} is {_ABSENT}",
        ),
        *_VARIABLE,
        words=_unset,
    ),
)

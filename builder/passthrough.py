"""The few variables of the builder's own environment that its children see: proxies and certificates."""

import re
from collections.abc import Mapping
from pathlib import Path

CERTIFICATE_FILES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NPM_CONFIG_CAFILE",
    "npm_config_cafile",
)
"""Each names a file or directory, which the sandbox has to show."""

_PROXIES = re.compile(r"(?:https?|all|no)_proxy", re.IGNORECASE | re.ASCII)
_REGISTRIES = (
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "YARN_REGISTRY",
    "YARN_NPM_REGISTRY_SERVER",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
)


def network_environment(env: Mapping[str, str]) -> dict[str, str]:
    """How to get out of this network: for git and for the user's commands alike."""
    names = (*CERTIFICATE_FILES, *_REGISTRIES)
    return {
        name: value for name, value in env.items() if value and (name in names or _PROXIES.fullmatch(name))
    }


def certificate_paths(env: Mapping[str, str]) -> tuple[Path, ...]:
    """The certificate files that ``env`` names and that exist, each once."""
    paths = {Path(env[name]) for name in CERTIFICATE_FILES if env.get(name, "").startswith("/")}
    return tuple(sorted(path for path in paths if path.exists()))

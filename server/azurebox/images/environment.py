"""The environment variables of a container: what an image would set, and nothing of ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches package indexes. Whatever would change *where* pip installs
# (PIP_TARGET, PIP_USER, PIP_PREFIX, ...) is left out: that is the container's own business.
_PASSED_ON = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONFIG_FILE"),
    *("PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT"),
    *("PIP_RETRIES", "PIP_ONLY_BINARY", "PIP_NO_BINARY", "PIP_PREFER_BINARY", "PIP_CONSTRAINT"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


def container_env(
    layer: Path, home: Path, temporary: Path, own: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that every container has; `own` is azurebox's environment.

    Its user's pip settings stay in force although HOME is another folder.
    """
    env = {
        "PATH": f"{layer / 'bin'}:{_SYSTEM_PATH}",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }
    env |= {name: own[name] for name in _PASSED_ON if name in own}
    settings = _user_pip_settings(own)
    if "PIP_CONFIG_FILE" not in env and settings:
        env["PIP_CONFIG_FILE"] = str(settings)
    return env


def _user_pip_settings(own: Mapping[str, str]) -> Path | None:
    """Return the file that pip would read for this user. Source: pip's manual, Configuration."""
    home = Path(own.get("HOME") or os.path.expanduser("~"))
    config = Path(own.get("XDG_CONFIG_HOME") or home / ".config")
    for file in (config / "pip" / "pip.conf", home / ".pip" / "pip.conf"):
        if file.is_file():
            return file
    return None

"""HTTP for the feeds: bounded in size and time, to public https addresses, and only for what was asked.

``http:`` is allowed to this machine only (tests, a local mirror).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from denchi import __version__
from denchi.errors import InputError

TIMEOUT_S: Final = 30.0
MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_REDIRECTS: Final = 3


class Fetcher:
    """Gets bytes; one instance an update."""

    def __init__(self, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> None:
        self._timeout_s, self._max_bytes = timeout_s, max_bytes

    def get(
        self, url: str, params: Mapping[str, str] | None = None, max_bytes: int | None = None
    ) -> bytes:
        """The body of a 200 answer; ``InputError`` says what else came and what to do."""
        import httpx

        limit = min(max_bytes or self._max_bytes, self._max_bytes)
        agent = {"User-Agent": f"denchi/{__version__} (recall lists; one request a day at most)"}
        try:
            with httpx.Client(
                timeout=self._timeout_s, headers=agent, follow_redirects=False
            ) as client:
                for _ in range(_MAX_REDIRECTS + 1):
                    allowed(url)
                    with client.stream(
                        "GET", url, params=dict(params) if params else None
                    ) as answer:
                        if answer.is_redirect:
                            url = urljoin(url, answer.headers.get("location", ""))
                            params = None
                            continue
                        if answer.status_code != 200:
                            raise InputError(
                                f"{_host(url)} answered {answer.status_code}", cure="try later"
                            )
                        return _body(answer, limit, url)
        except httpx.HTTPError as error:
            told = str(error) or type(error).__name__
            raise InputError(
                f"{_host(url)} cannot be read ({told})", cure="the lists at hand stay in force"
            ) from None
        raise InputError(f"{_host(url)} redirects more than {_MAX_REDIRECTS} times")


def _body(answer: object, limit: int, url: str) -> bytes:
    import httpx

    assert isinstance(answer, httpx.Response)
    body = bytearray()
    for chunk in answer.iter_bytes():  # decoded: a compressed bomb counts at its real size
        body += chunk
        if len(body) > limit:
            raise InputError(f"{_host(url)} sent more than {limit} bytes")
    head = bytes(body[:512]).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        raise InputError(f"{_host(url)} sent an HTML page with status 200 instead of data")
    return bytes(body)


def _host(url: str) -> str:
    return urlsplit(url).hostname or "?"


def allowed(url: str) -> None:
    """Refuse every address that is not https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise InputError(f"{url[:200]!r} is no web address") from None
    if parts.scheme == "https" and host and "@" not in parts.netloc:
        return
    if parts.scheme == "http" and _loopback(host):
        return
    raise InputError(
        f"{url[:200]!r} is not an https address", cure="feeds are read over https only"
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def same_place(url: str, base: str) -> bool:
    """Whether ``url`` has the scheme, host and port of ``base``: a feed may not send us elsewhere."""
    one, other = urlsplit(url), urlsplit(base)
    return (one.scheme, one.netloc) == (other.scheme, other.netloc)

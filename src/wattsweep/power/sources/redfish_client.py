"""One kept HTTP session to a Redfish service: authentication, timeouts, and links that stay on its host."""

import contextlib
import warnings
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import InsecureRequestWarning

from wattsweep.power.sources.specs import RedfishSpec

TIMEOUT_S = 2.0
SESSIONS = "/redfish/v1/SessionService/Sessions"
TOKEN = "X-Auth-Token"  # noqa: S105 - the name of a header
DEFAULT_PORTS = {"http": 80, "https": 443}


class RefusedError(Exception):
    """The service answered, but not with the resource. `status` is the HTTP status, 0 where that is not the reason."""

    def __init__(self, words: str, status: int = 0) -> None:
        super().__init__(words)
        self.status = status


class Client:
    """GET of JSON resources, by basic authentication or, where that is refused, in a session of the service."""

    def __init__(self, spec: RedfishSpec) -> None:
        self._spec = spec
        parts = urlsplit(spec.url)
        self._base = f"{parts.scheme}://{parts.netloc}/"
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy or ~/.netrc of the user's shell is not for a BMC
        self._http.headers.update({"Accept": "application/json", "OData-Version": "4.0"})
        self._http.verify = spec.verify if spec.ca_file is None or not spec.verify else spec.ca_file
        self._login: str | None = None
        self._answered = False
        self._basic = HTTPBasicAuth(spec.username.encode(), spec.password.encode()) if spec.username else None
        self._http.auth = self._basic

    def get(self, path: str) -> dict[str, Any]:
        """The resource at `path`.

        Raises RefusedError where the service answers with another status than 200, with something else than a JSON
        object, or where `path` leads to another host; requests.RequestException where it does not answer within 2 s.
        """
        answer = self._send_again_if_dropped(path)
        if answer.status_code == 401 and self._spec.username:
            self._log_in()
            answer = self._send("GET", path)
        self._answered = True
        if answer.is_redirect:
            raise RefusedError(f"it redirects {path} to {answer.headers['Location'][:200]}, which is not followed")
        if answer.status_code != 200:
            raise RefusedError(f"HTTP status {answer.status_code} for {path}", answer.status_code)
        try:
            resource = answer.json()
        except ValueError:
            resource = None
        if not isinstance(resource, dict):
            raise RefusedError(f"the answer for {path} is no JSON object")
        return resource

    def close(self) -> None:
        """End the service's session, if there is one, and the connection."""
        if self._login is not None:
            with contextlib.suppress(requests.RequestException, RefusedError):  # it ends by itself when idle
                self._send("DELETE", self._login)
        self._http.close()

    def _send_again_if_dropped(self, path: str) -> requests.Response:
        try:
            return self._send("GET", path)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            # a kept connection that the BMC had closed is no failure of the BMC
            if not self._answered:
                raise
            return self._send("GET", path)

    def _log_in(self) -> None:
        """Open a session. Raises RefusedError with status 401 where the credentials are refused."""
        self._http.headers.pop(TOKEN, None)
        self._login = None
        self._http.auth = None
        answer = self._send("POST", SESSIONS, {"UserName": self._spec.username, "Password": self._spec.password})
        token = answer.headers.get(TOKEN)
        if answer.status_code not in (200, 201) or token is None:
            self._http.auth = self._basic
            raise RefusedError("no login", 401)
        self._http.headers[TOKEN] = token
        location = answer.headers.get("Location")
        if location is not None:
            with contextlib.suppress(RefusedError):
                self._url(location)
                self._login = location

    def _send(self, method: str, path: str, body: dict[str, str] | None = None) -> requests.Response:
        url = self._url(path)
        with warnings.catch_warnings():
            if not self._spec.verify:
                warnings.simplefilter("ignore", InsecureRequestWarning)
            return self._http.request(method, url, json=body, timeout=TIMEOUT_S, allow_redirects=False)

    def _url(self, path: str) -> str:
        """The address of `path` at this service. Raises RefusedError where it is another host's."""
        try:
            url = urljoin(self._base, path)
            here = _place(url) == _place(self._base)
        except ValueError:
            here = False
        if not here:
            raise RefusedError(f"it links to another host ({path[:200]}), which is not followed")
        return url


def _place(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)

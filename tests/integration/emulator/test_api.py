# SPDX-License-Identifier: Apache-2.0
"""The API around instances: credentials, errors, lists, networks, firewall rules, proxy, batch."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, exceptions, jwt
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from tests.support.emulator_fixture import SCOPES, ZONE, Api, Emulator, access_token, instance_body

VMS = f"zones/{ZONE}/instances"


def _get(emulator: Emulator, token: str | None, project: str | None = None) -> requests.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = f"{emulator.endpoint}/projects/{project or emulator.project}"
    return requests.get(url, headers=headers, timeout=120)


@pytest.mark.parametrize("token", [None, "", "made-up", "a.b.c"])
def test_no_valid_token(emulator: Emulator, token: str | None) -> None:
    answer = _get(emulator, token)
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


def test_a_token_signed_by_the_account_itself(emulator: Emulator) -> None:
    """What google-cloud-compute sends: a JWT in place of an access token."""
    key = json.loads(emulator.credentials_file.read_text())
    claims = {
        "iss": key["client_email"],
        "sub": key["client_email"],
        "iat": int(time.time()),
        "exp": int(time.time()) + 600,
        "scope": SCOPES[0],
    }
    good = jwt.encode(crypt.RSASigner.from_service_account_info(key), claims).decode()
    assert _get(emulator, good).status_code == 200
    late = claims | {"iat": int(time.time()) - 7200, "exp": int(time.time()) - 3600}
    old = jwt.encode(crypt.RSASigner.from_service_account_info(key), late).decode()
    assert _get(emulator, old).status_code == 401
    other = jwt.encode(
        crypt.RSASigner.from_service_account_info(key), claims | {"iss": "else@x"}
    ).decode()
    assert _get(emulator, other).status_code == 401


def test_the_key_of_someone_else(emulator: Emulator, tmp_path: Path) -> None:
    info = json.loads(emulator.credentials_file.read_text())
    info["private_key"] = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )
    credentials = service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
    with pytest.raises(exceptions.RefreshError, match="invalid_grant"):
        credentials.refresh(Request())


def test_the_key_is_private(emulator: Emulator) -> None:
    assert emulator.credentials_file.stat().st_mode & 0o077 == 0
    assert (emulator.state / "server.pem").stat().st_mode & 0o077 == 0


def test_projects(emulator: Emulator) -> None:
    token = access_token(emulator)
    number = _get(emulator, token).json()["defaultServiceAccount"].split("-")[0]
    assert _get(emulator, token, number).json()["name"] == emulator.project
    missing = _get(emulator, token, "nobody-knows").json()["error"]
    assert (missing["code"], missing["errors"][0]["reason"]) == (404, "notFound")
    public = _get(emulator, token, "debian-cloud")
    assert public.status_code == 403


@pytest.mark.parametrize(
    ("verb", "path", "code", "reason"),
    [
        ("GET", "zones/nowhere-1-a", 404, "notFound"),
        ("GET", "zones/nowhere-1-a/instances", 404, "notFound"),
        ("GET", f"{VMS}/none", 404, "notFound"),
        ("GET", "regions/nowhere", 404, "notFound"),
        ("GET", "global/images/family/none", 404, "notFound"),
        ("GET", f"zones/{ZONE}/operations/none", 404, "notFound"),
        ("POST", f"zones/{ZONE}/operations/none/wait", 404, "notFound"),
        ("GET", "no/such/path", 404, "notFound"),
        ("GET", f"{VMS}?colour=red", 400, "invalid"),
        ("GET", f"{VMS}?filter=name%20%3D", 400, "invalid"),
        ("GET", f"{VMS}?pageToken=x", 400, "invalid"),
        ("GET", f"{VMS}?orderBy=size", 400, "invalid"),
        ("DELETE", "global/firewalls/none", 404, "notFound"),
        ("GET", "global/interconnects", 501, "notImplemented"),
    ],
)
def test_errors_in_googles_shape(api: Api, verb: str, path: str, code: int, reason: str) -> None:
    error = api.error(verb, path)
    assert (error["code"], error["errors"][0]["reason"]) == (code, reason)
    assert error["message"] == error["errors"][0]["message"]
    assert error["errors"][0]["domain"]


def test_pages(api: Api) -> None:
    names: list[str] = []
    params = {"maxResults": "9"}
    for _ in range(4):
        answer = api.get("zones", **params)
        names += [zone["name"] for zone in answer["items"]]
        if "nextPageToken" not in answer:
            break
        params["pageToken"] = answer["nextPageToken"]
    assert len(names) == len(set(names)) == 21
    assert names == sorted(names)


def test_aggregated_lists_hold_every_scope(api: Api) -> None:
    api.must("POST", VMS, instance_body("vm"))
    items = api.get("aggregated/instances", returnPartialSuccess="true")["items"]
    assert len(items) == 21
    assert [vm["name"] for vm in items[f"zones/{ZONE}"]["instances"]] == ["vm"]
    assert items["zones/us-east1-b"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    for collection in ("disks", "addresses", "subnetworks", "machineTypes", "acceleratorTypes",
                       "diskTypes", "operations"):  # fmt: skip
        assert api.get(f"aggregated/{collection}")["items"]


def test_partial_answer(api: Api) -> None:
    assert api.get("zones", fields="items/name", filter=f"name={ZONE}") == {
        "items": [{"name": ZONE}]
    }


def test_networks(api: Api) -> None:
    custom = {"name": "custom", "autoCreateSubnetworks": False}
    api.must("POST", "global/networks", custom)
    nic = [{"network": "global/networks/custom"}]
    error = api.error("POST", VMS, instance_body("vm", networkInterfaces=nic))
    assert "subnetwork" in error["message"]
    subnet = {"name": "sub", "network": "global/networks/custom", "ipCidrRange": "10.9.0.0/29"}
    api.must("POST", "regions/us-central1/subnetworks", subnet)
    overlap = subnet | {"name": "other", "ipCidrRange": "10.9.0.0/24"}
    error = api.error("POST", "regions/us-central1/subnetworks", overlap)
    assert "overlaps" in error["message"]
    nic = [{"subnetwork": "regions/us-central1/subnetworks/sub"}]
    for number in range(4):  # a /29 has 4 usable addresses
        name = f"vm{number}"
        api.must("POST", VMS, instance_body(name, "e2-small", networkInterfaces=nic, scheduling={}))
    error = api.error("POST", VMS, instance_body("vm4", networkInterfaces=nic))
    assert "exhausted" in error["message"]
    assert "being used" in api.error("DELETE", "regions/us-central1/subnetworks/sub")["message"]
    for number in range(4):
        api.must("DELETE", f"{VMS}/vm{number}")
    api.must("DELETE", "regions/us-central1/subnetworks/sub")
    api.must("DELETE", "global/networks/custom")


def _sources(emulator: Emulator, port: int) -> set[str]:
    """From where a port of the only instance can be reached."""
    state = emulator.admin("GET", "state")["projects"][emulator.project]
    [entry] = [e for e in state["ingress"] if e["instance"].endswith("/vm")]
    found: set[str] = set()
    for rule in entry["rules"]:
        fits = any(low <= port <= high for low, high in rule["ports"])
        if rule["action"] == "allow" and rule["protocol"] == "tcp" and fits:
            found.update(rule["sources"])
    return found


def test_firewall_rules_follow_tags(emulator: Emulator, api: Api) -> None:
    api.must("POST", VMS, instance_body("vm"))
    rule = {
        "name": "llm",
        "allowed": [{"IPProtocol": "tcp", "ports": ["8000"]}],
        "sourceRanges": ["192.0.2.0/24"],
        "targetTags": ["llm"],
    }
    inside = {"10.128.0.0/9"}  # default-allow-internal
    api.must("POST", "global/firewalls", rule)
    assert api.error("POST", "global/firewalls", rule)["code"] == 409
    assert _sources(emulator, 8000) == inside
    fingerprint = api.get(f"{VMS}/vm")["tags"]["fingerprint"]
    api.must("POST", f"{VMS}/vm/setTags", {"items": ["llm"], "fingerprint": fingerprint})
    assert _sources(emulator, 8000) == inside | {"192.0.2.0/24"}
    api.must("PATCH", "global/firewalls/llm", {"sourceRanges": ["198.51.100.0/24"]})
    assert _sources(emulator, 8000) == inside | {"198.51.100.0/24"}
    seen = api.get("global/firewalls/llm")
    assert seen["targetTags"] == ["llm"]  # patch leaves the rest alone
    api.must("PUT", "global/firewalls/llm", {k: rule[k] for k in ("name", "allowed")})
    seen = api.get("global/firewalls/llm")
    assert "targetTags" not in seen  # update does not
    assert seen["sourceRanges"] == ["0.0.0.0/0"]
    api.must("PATCH", "global/firewalls/llm", {"disabled": True})
    assert _sources(emulator, 8000) == inside
    api.must("DELETE", "global/firewalls/llm")


def _connect(emulator: Emulator, line: str) -> str:
    with socket.create_connection(("127.0.0.1", urlsplit(emulator.proxy_url).port)) as peer:
        peer.sendall(f"{line}\r\n\r\n".encode())
        peer.settimeout(120)
        return peer.recv(4096).decode().splitlines()[0]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("CONNECT compute.googleapis.com:443 HTTP/1.1", 200),
        ("CONNECT compute.googleapis.com:22 HTTP/1.1", 403),
        ("CONNECT example.org:443 HTTP/1.1", 403),
        ("CONNECT 127.0.0.1:22 HTTP/1.1", 403),
        ("GET http://compute.googleapis.com/ HTTP/1.1", 405),
    ],
)
def test_the_proxy_serves_googles_names_only(emulator: Emulator, line: str, status: int) -> None:
    assert _connect(emulator, line).split()[1] == str(status)


def test_other_google_services_are_not_there(emulator: Emulator) -> None:
    session = requests.Session()
    session.proxies = {"https": emulator.proxy_url}
    session.verify = str(emulator.ca_file)
    session.trust_env = False
    path = "v1/projects/-/serviceAccounts/a@b/allowedLocations"
    answer = session.get(f"https://iamcredentials.googleapis.com/{path}", timeout=120)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == 404


def _batch(emulator: Emulator, *requests_: tuple[str, str, Any]) -> list[str]:
    parts = []
    for number, (verb, path, body) in enumerate(requests_):
        content = "" if body is None else json.dumps(body)
        parts.append(
            f"--edge\r\nContent-Type: application/http\r\nContent-ID: <part-{number}>\r\n\r\n"
            f"{verb} /compute/v1/projects/{emulator.project}/{path} HTTP/1.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n{content}\r\n"
        )
    answer = requests.post(
        f"{emulator.url}/batch/compute/v1",
        data="".join(parts) + "--edge--\r\n",
        headers={
            "Content-Type": 'multipart/mixed; boundary="edge"',
            "Authorization": f"Bearer {access_token(emulator)}",
        },
        timeout=120,
    )
    assert answer.status_code == 200
    edge = answer.headers["Content-Type"].split("boundary=")[1]
    return answer.text.split(f"--{edge}")[1:-1]


def test_batch(emulator: Emulator) -> None:
    found = _batch(
        emulator,
        ("GET", f"zones/{ZONE}", None),
        ("GET", "zones/nowhere-1-a", None),
        ("POST", "global/networks", {"name": "by-batch"}),
    )
    lines = [part.split("HTTP/1.1 ")[1].split()[0] for part in found]
    assert lines == ["200", "404", "200"]
    assert all(f"<response-part-{n}>" in part for n, part in enumerate(found))


def test_a_batch_that_is_none(emulator: Emulator) -> None:
    answer = requests.post(f"{emulator.url}/batch/compute/v1", data="x", timeout=120)
    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["reason"] == "badRequest"


def test_wrong_json(emulator: Emulator, api: Api) -> None:
    answer = api.session.post(f"{api.base}/global/networks", data="{", timeout=120)
    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["reason"] == "parseError"

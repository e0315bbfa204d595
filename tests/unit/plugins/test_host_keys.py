# SPDX-License-Identifier: Apache-2.0
"""Host keys that an instance publishes, and the known_hosts file that is kept by them."""

from __future__ import annotations

import base64
import struct

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import host_keys, known_hosts
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def published(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
) -> str:
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.split()[1].decode()


def blob(*fields: bytes) -> str:
    joined = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return base64.b64encode(joined).decode()


GOOD = {
    # The same in each process: tests are named by it, and processes that share them compare names.
    "ssh-ed25519": published(ed25519.Ed25519PrivateKey.from_private_bytes(b"1" * 32)),
    "ecdsa-sha2-nistp256": published(ec.generate_private_key(ec.SECP256R1())),
    "ecdsa-sha2-nistp384": published(ec.generate_private_key(ec.SECP384R1())),
    "ecdsa-sha2-nistp521": published(ec.generate_private_key(ec.SECP521R1())),
    "ssh-rsa": published(rsa.generate_private_key(65537, 2048)),
}
KEY = GOOD["ssh-ed25519"]
OTHER = published(ed25519.Ed25519PrivateKey.from_private_bytes(b"2" * 32))


@pytest.mark.parametrize("kind", GOOD)
def test_each_kind(kind: str) -> None:
    assert host_keys.problem(kind, GOOD[kind]) == ""
    for other in GOOD.keys() - {kind}:
        assert "another kind" in host_keys.problem(other, GOOD[kind])


def test_all_kinds_are_tried() -> None:
    assert GOOD.keys() == host_keys.KINDS.keys()


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        f"{KEY}\n",
        f"\n{KEY}",
        f" {KEY}",
        f"{KEY} comment",
        f"{KEY}\t",
        f"{KEY}\r\n* ssh-ed25519 {OTHER}",
        f"{KEY}\n* ssh-ed25519 {OTHER}",
        f"{KEY}\n@cert-authority * ssh-ed25519 {OTHER}",
        f"{KEY}\x00",
        f"{KEY}\x0b{OTHER}",
        f"{KEY}\u2028* ssh-ed25519 {OTHER}",
        KEY + KEY,
        KEY[:-4],
        KEY[:-1],
        KEY[:-1] + "!",
        KEY + "=",
        KEY.lower(),
        "ssh-ed25519 " + KEY,
        base64.b64encode(base64.b64decode(KEY) + b"\n").decode(),
        base64.b64encode(base64.b64decode(KEY) + b"\0").decode(),
        blob(b"ssh-ed25519"),
        blob(b"ssh-ed25519", b"x" * 31),
        blob(b"ssh-ed25519", b"x" * 33),
        blob(b"ssh-ed25519", b"x" * 32, b""),
        blob(b"ssh-ed25519\n", b"x" * 32),
        blob(b"ssh-ed25519-cert-v01@openssh.com", b"x" * 32),
        "AAAA",
        "{{ 7 * 7 }}",
        "A" * 100_000,
        None,
        7,
        ["x"],
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    assert host_keys.problem("ssh-ed25519", value)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ssh-rsa", [b"\x03", b"\x7f" * 64]),
        ("ssh-rsa", [b"\x02", b"\x7f" * 256]),
        ("ssh-rsa", [b"\x03", b"\xff" * 256]),
        ("ssh-rsa", [b"\x03", b""]),
        ("ssh-rsa", [b"\x03", b"\x7f" * 3000]),
        ("ssh-rsa", [b"\x03"]),
        ("ssh-rsa", [b"\x03", b"\x7f" * 256, b"x"]),
        ("ecdsa-sha2-nistp256", [b"nistp384", b"\x04" + b"x" * 64]),
        ("ecdsa-sha2-nistp256", [b"nistp256", b"\x02" + b"x" * 64]),
        ("ecdsa-sha2-nistp256", [b"nistp256", b"\x04" + b"x" * 63]),
        ("ecdsa-sha2-nistp256", [b"nistp256", b""]),
        ("ecdsa-sha2-nistp521", [b"nistp521"]),
    ],
)
def test_malformed_inside(kind: str, fields: list[bytes]) -> None:
    assert "malformed" in host_keys.problem(kind, blob(kind.encode(), *fields))


@pytest.mark.parametrize(
    "kind", ["ssh-dss", "", "*", "ssh-ed25519\n", "ssh-ed25519-cert-v01@openssh.com", "SSH-RSA"]
)
def test_other_kinds_are_refused(kind: str) -> None:
    assert "kind" in host_keys.problem(kind, KEY)


US = known_hosts.Instance("my-project/llm", "100")
THEM = known_hosts.Instance("my-project/other", "200")


def lines(file: known_hosts.File) -> list[str]:
    return file.text.splitlines()


def write(
    text: str = "",
    instance: known_hosts.Instance = US,
    hosts: tuple[str, ...] = ("203.0.113.1",),
    key: str = KEY,
) -> known_hosts.File:
    return known_hosts.rewrite(text, instance, hosts, {"ssh-ed25519": key})


def test_a_line_tells_its_instance() -> None:
    file = write(hosts=("203.0.113.1", "llm"))
    assert lines(file) == [
        f"203.0.113.1 ssh-ed25519 {KEY} gce-vllm:my-project/llm/100",
        f"llm ssh-ed25519 {KEY} gce-vllm:my-project/llm/100",
    ]
    assert write(file.text, hosts=("203.0.113.1", "llm")) == file


def test_others_of_ours_stay() -> None:
    theirs = write(instance=THEM, hosts=("203.0.113.2",), key=OTHER).text
    assert sorted(lines(write(theirs))) == sorted([*theirs.splitlines(), *lines(write())])


@pytest.mark.parametrize(
    "line",
    [
        f"* ssh-ed25519 {OTHER}",
        f"* ssh-ed25519 {OTHER} gce-vllm:my-project/other/200",
        f"203.0.113.* ssh-ed25519 {OTHER} gce-vllm:my-project/other/200",
        f"203.0.113.2,* ssh-ed25519 {OTHER} gce-vllm:my-project/other/200",
        f"!a ssh-ed25519 {OTHER} gce-vllm:my-project/other/200",
        f"@cert-authority * ssh-ed25519 {OTHER}",
        f"203.0.113.2 ssh-ed25519 {OTHER}",
        f"203.0.113.2 ssh-rsa {OTHER} gce-vllm:my-project/other/200",
        f"203.0.113.2 ssh-ed25519 {OTHER[:-4]} gce-vllm:my-project/other/200",
        f"203.0.113.2 ssh-ed25519 {OTHER} gce-vllm:my-project/other/x",
        f"203.0.113.2 ssh-ed25519 {OTHER} gce-vllm:200",
        f"203.0.113.2  ssh-ed25519 {OTHER} gce-vllm:my-project/other/200",
        f"|1|AAAA=|AAAA= ssh-ed25519 {OTHER}",
        f"x\x0b203.0.113.2 ssh-ed25519 {OTHER} gce-vllm:my-project/other/200",
        f"x\u2028203.0.113.2 ssh-ed25519 {OTHER} gce-vllm:my-project/other/200",
        "\ufffd\x00 garbage",
        "garbage",
    ],
)
def test_lines_of_others_go(line: str) -> None:
    file = write(f"{write().text}{line}\n")
    assert file.text == write().text
    assert file.foreign == (line.split(maxsplit=1)[0],)


def test_comments_and_empty_lines_go_without_a_word() -> None:
    assert write("# mine\n\n") == write()


def test_a_changed_key_of_the_same_instance_is_refused() -> None:
    with pytest.raises(known_hosts.ChangedKeyError, match="ssh-ed25519"):
        write(write().text, key=OTHER)
    # Its address may have changed meanwhile, or be asked under another name.
    with pytest.raises(known_hosts.ChangedKeyError):
        write(write().text, hosts=("203.0.113.9",), key=OTHER)


def test_an_instance_recreated_has_new_keys() -> None:
    recreated = known_hosts.Instance(US.owner, "101")
    file = write(write().text, instance=recreated, key=OTHER)
    assert file == write(instance=recreated, key=OTHER)


def test_an_address_that_changed() -> None:
    assert write(write().text, hosts=("203.0.113.9",)) == write(hosts=("203.0.113.9",))


def test_an_address_that_went_to_another_instance() -> None:
    # Two keys for one address would both be taken.
    assert write(write(instance=THEM, key=OTHER).text) == write()


@pytest.mark.parametrize(
    ("host", "right"),
    [
        ("203.0.113.1", True),
        ("2001:db8::1", True),
        ("llm-server", True),
        ("*", False),
        ("a,b", False),
        ("a b", False),
        ("!a", False),
        ("[203.0.113.1]:22", False),
        ("203.0.113.1\n", False),
        ("llm\n", False),
        ("|1|x|y", False),
        ("@revoked", False),
        ("", False),
    ],
)
def test_hosts(host: str, right: bool) -> None:
    assert known_hosts.is_host(host) is right


def test_hosts_that_write_in_turn_leave_one_file() -> None:
    """Whoever writes last: a second round finds nothing to change."""
    written = ""
    names = ("llm-2", "llm-0", "llm-1")
    rounds = []
    for _ in range(2):
        for number, name in enumerate(names):
            instance = known_hosts.Instance(f"p/{name}", str(number))
            keys = {"ssh-ed25519": GOOD["ssh-ed25519"]}
            written = known_hosts.rewrite(written, instance, [f"10.0.0.{number}"], keys).text
            rounds.append(written)
    assert len(set(rounds[2:])) == 1

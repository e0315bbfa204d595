# SPDX-License-Identifier: Apache-2.0
"""TLS by files: what is refused and how that is said, a real handshake, and a renewal."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from llm_server.errors import ConfigError
from llm_server.transport.listener import HttpServer, bind
from llm_server.transport.tls import TlsFiles, open_tls, reload_certificate

DAY = timedelta(days=1)


def make(folder: Path, name: str = "server", *, start: int = -1, end: int = 1) -> dict[str, Path]:
    """A certificate for localhost that signs itself, valid from so many days from now until."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start * DAY)
        .not_valid_after(now + end * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = {"ssl_certfile": folder / f"{name}.pem", "ssl_keyfile": folder / f"{name}.key"}
    made["ssl_certfile"].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made["ssl_keyfile"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


def ends(path: Path) -> float:
    """When a certificate ends, as its file has it."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()


def problem(**files: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        TlsFiles(**files).check()
    (message,) = caught.value.messages
    return message


def test_what_cannot_be_used_is_told_in_one_sentence(tmp_path: Path) -> None:
    good, other = make(tmp_path), make(tmp_path, "other")
    TlsFiles(**good).check()
    assert "expired on" in problem(**make(tmp_path, "old", start=-2, end=-1))
    assert "is not valid before" in problem(**make(tmp_path, "new", start=1, end=2))
    mixed = good | {"ssl_keyfile": other["ssl_keyfile"]}
    assert "has a key that does not belong to the certificate" in problem(**mixed)
    assert "No such file" in problem(**good | {"ssl_keyfile": tmp_path / "none"})
    assert "No such file" in problem(**good | {"ssl_certfile": tmp_path / "none"})
    assert "No such file" in problem(**good, ssl_ca_certs=tmp_path / "none")
    text = tmp_path / "text"
    text.write_text("not PEM")
    assert "no certificate in PEM" in problem(**good | {"ssl_certfile": text})
    assert "must be PEM" in problem(**good | {"ssl_keyfile": text})
    assert "must be PEM" in problem(**good, ssl_ca_certs=text)
    assert "ssl_ciphers: OpenSSL knows no such" in problem(**good, ssl_ciphers="nope")


def test_a_key_with_a_password_is_refused_without_asking_for_it(tmp_path: Path) -> None:
    good = make(tmp_path)
    key = serialization.load_pem_private_key(good["ssl_keyfile"].read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    good["ssl_keyfile"].write_bytes(locked)
    assert "must have no password" in problem(**good)


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    made = make(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(made["ssl_keyfile"].read_bytes() + made["ssl_certfile"].read_bytes())
    TlsFiles(ssl_certfile=both).check()


def test_a_start_is_not_held_up_by_a_date(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert open_tls(None) is None
    old = TlsFiles(**make(tmp_path, start=-2, end=-1))
    assert open_tls(old) is not None
    assert "expired on" in caplog.text


def run(play: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(play, 180))


def test_a_renewed_certificate_is_read_and_a_wrong_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    live = make(tmp_path)
    files = TlsFiles(**live)
    context = open_tls(files)
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "over TLS"

    async def shown(port: int) -> str:
        """Asks over a new connection; the name in the certificate that was shown."""
        trust = ssl.create_default_context(cafile=str(live["ssl_certfile"]))
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert b"over TLS" in await reader.read()
        writer.close()
        return x509.load_der_x509_certificate(der).subject.rfc4514_string()

    def install(made: dict[str, Path]) -> None:
        for name, path in made.items():
            live[name].write_bytes(path.read_bytes())
        reload_certificate(files, context)

    async def play() -> None:
        server = HttpServer(app, tls=context)
        listener = bind("127.0.0.1", 0)
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        assert await shown(port) == "CN=server"
        assert context is not None and context.expires == ends(live["ssl_certfile"])
        install(make(tmp_path, "renewed", end=2))
        assert await shown(port) == "CN=renewed"
        renewed = ends(live["ssl_certfile"])
        assert context.expires == renewed
        install(make(tmp_path, "late", start=-2, end=-1))
        assert await shown(port) == "CN=renewed"
        assert "The certificate stays as it was" in caplog.text
        # Half of a renewal: the certificate is there, its key is not yet.
        install({"ssl_certfile": make(tmp_path, "half")["ssl_certfile"]})
        assert await shown(port) == "CN=renewed"
        # What is in force counts, and not what the file has by now.
        assert context.expires == renewed
        server.should_exit = True
        await serving

    run(play())


def test_clients_may_have_to_show_a_certificate(tmp_path: Path) -> None:
    good = make(tmp_path)
    with pytest.raises(ValueError, match="set ssl_ca_certs too"):
        TlsFiles(**good, ssl_cert_reqs=2)
    files = TlsFiles(**good, ssl_cert_reqs=2, ssl_ca_certs=good["ssl_certfile"])
    assert files.context().verify_mode is ssl.CERT_REQUIRED

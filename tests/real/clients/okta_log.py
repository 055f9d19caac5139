#!/usr/bin/env python3
"""Reads a System Log to its end with Okta's own client, and prints what it saw as JSON.

    okta_log.py key DIR              makes DIR/private.pem and DIR/public.pem
    okta_log.py token URL TOKEN      pages with an API token
    okta_log.py dpop URL CLIENT KEY  pages as a service app: private key, access token bound by DPoP

The client wants https, and trusts the authority in SSL_CERT_FILE.
"""

import asyncio
import datetime
import json
import pathlib
import sys
import urllib.parse

LIMIT = 100
PAGES = 200


def make_key(folder):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    folder = pathlib.Path(folder)
    (folder / "private.pem").write_bytes(private)
    (folder / "public.pem").write_bytes(public)


def settings(mode, url, *rest):
    found = {"orgUrl": url, "raiseException": True, "cache": {"enabled": False}}
    if mode == "token":
        (found["token"],) = rest
        return found
    client, key = rest
    return found | {
        "authorizationMode": "PrivateKey",
        "clientId": client,
        "scopes": ["okta.logs.read"],
        "privateKey": pathlib.Path(key).read_text(),
        "dpopEnabled": True,
    }


def cursor(headers):
    """`after` of the next link, which the client leaves to its caller."""
    lines = headers.getall("Link", []) if hasattr(headers, "getall") else [headers.get("Link") or ""]
    for link in ",".join(lines).split(","):
        target, _, parameters = link.strip().partition(">")
        if 'rel="next"' in parameters.replace(" ", ""):
            query = urllib.parse.urlsplit(target.lstrip("<")).query
            return urllib.parse.parse_qs(query)["after"][0]
    return None


async def read(client):
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=30)
    since = since.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    seen, sizes, after = [], [], None
    for _ in range(PAGES):
        events, response, error = await client.list_log_events(
            since=since, sort_order="ASCENDING", limit=LIMIT, after=after
        )
        if error:
            raise SystemExit(f"the client reports: {error}")
        sizes.append(len(events or []))
        seen += events or []
        after = cursor(response.headers)
        if not events or after is None:
            break
    else:
        raise SystemExit(f"no end after {PAGES} pages")
    return {
        "ids": [event.uuid for event in seen],
        "pages": sizes,
        "types": sorted({event.event_type for event in seen}),
        "published": [event.published.timestamp() for event in seen],
    }


def main():
    mode, *rest = sys.argv[1:]
    if mode == "key":
        make_key(*rest)
        return
    from okta.client import Client

    json.dump(asyncio.run(read(Client(settings(mode, *rest)))), sys.stdout)


main()

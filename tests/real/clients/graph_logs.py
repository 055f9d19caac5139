#!/usr/bin/env python3
"""Reads the logs of an Entra directory to their ends with Microsoft's own clients, and prints the records' ids as JSON, by stream.

    graph_logs.py key DIR                        makes DIR/app.pem: a certificate, and behind it its private key
    graph_logs.py secret URL TENANT APP SECRET   as an app with a client secret
    graph_logs.py certificate URL TENANT APP PEM as an app with a certificate

Login and Graph are at the same address, which must be https; the clients trust the authority in SSL_CERT_FILE. A refusal is
printed as {"status": …, "code": …}, one of the login as {"login": …}.
"""

import asyncio
import datetime
import json
import pathlib
import sys
import urllib.parse

SCOPE = "https://graph.microsoft.com/.default"
LIMIT = 40


def make_key(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "tidegate")])
    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=begin,
        not_valid_after=begin + datetime.timedelta(days=1),
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (pathlib.Path(folder) / "app.pem").write_bytes(certificate + private)


def credential(mode, url, tenant, app, proof):
    from azure.identity.aio import CertificateCredential, ClientSecretCredential

    # The real instance discovery would ask Microsoft whether this authority is one of theirs.
    where = {"authority": url, "disable_instance_discovery": True}
    if mode == "secret":
        return ClientSecretCredential(tenant, app, proof, **where)
    return CertificateCredential(tenant, app, certificate_path=proof, **where)


def client(url, proof):
    """Microsoft's client as it is built by default, but for Graph's address."""
    import httpx
    from kiota_authentication_azure.azure_identity_authentication_provider import (
        AzureIdentityAuthenticationProvider,
    )
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph_core import APIVersion, GraphClientFactory

    base = f"{url}/v1.0"
    host = urllib.parse.urlsplit(url)
    provider = AzureIdentityAuthenticationProvider(
        proof, scopes=[SCOPE], allowed_hosts=[host.hostname, host.netloc]
    )
    http = GraphClientFactory.create_with_default_middleware(
        api_version=APIVersion.v1, client=httpx.AsyncClient(base_url=base)
    )
    adapter = GraphRequestAdapter(provider, http)
    adapter.base_url = base
    return GraphServiceClient(request_adapter=adapter)


async def pages(builder):
    from kiota_abstractions.base_request_configuration import RequestConfiguration

    query = type(builder)
    parameters = next(
        getattr(query, name) for name in dir(query) if name.endswith("GetQueryParameters")
    )
    seen = []
    page = await builder.get(RequestConfiguration(query_parameters=parameters(top=LIMIT)))
    while page is not None:
        seen += [record.id for record in page.value]
        link = page.odata_next_link
        page = await builder.with_url(link).get() if link else None
    return seen


async def read(arguments):
    from azure.core.exceptions import ClientAuthenticationError
    from kiota_abstractions.api_error import APIError

    async with credential(*arguments) as proof:
        graph = client(arguments[1], proof)
        try:
            return {
                "sign_ins": await pages(graph.audit_logs.sign_ins),
                "directory_audits": await pages(graph.audit_logs.directory_audits),
                "provisioning": await pages(graph.audit_logs.provisioning),
                "risk_detections": await pages(graph.identity_protection.risk_detections),
            }
        except ClientAuthenticationError as refusal:
            return {"login": refusal.message}
        except APIError as refusal:
            return {"status": refusal.response_status_code, "code": refusal.error.code}


def main():
    if sys.argv[1] == "key":
        make_key(sys.argv[2])
        return
    json.dump(asyncio.run(read(sys.argv[1:])), sys.stdout)


main()

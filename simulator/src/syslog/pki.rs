//! A certificate authority made on the spot, for both sides of a TLS connection.

use crate::server::SimulatorError;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

/// An authority, its server's certificate (for `localhost`, 127.0.0.1 and further names), and its client's. The keys live
/// in memory only.
pub struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    server: (CertificateDer<'static>, Vec<u8>),
    server_pem: (String, String),
    client: (String, String),
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki").finish_non_exhaustive()
    }
}

fn failed(error: impl std::fmt::Display) -> SimulatorError {
    SimulatorError::Certificate(error.to_string())
}

impl Pki {
    /// Makes a new authority and both certificates.
    ///
    /// # Errors
    /// The certificates could not be made.
    pub fn new(server_names: &[&str]) -> Result<Self, SimulatorError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Tidegate simulator CA");
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)?;
        let issue = |name: &str, names: Vec<String>, usage| {
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, name);
            if usage == ExtendedKeyUsagePurpose::ServerAuth {
                params.subject_alt_names.push(SanType::IpAddress(IpAddr::from([127, 0, 0, 1])));
            }
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            Ok::<_, rcgen::Error>((params.signed_by(&key, &authority)?, key))
        };
        let mut names = vec!["localhost".to_owned()];
        names.extend(server_names.iter().map(|name| (*name).to_owned()));
        let (server, server_key) =
            issue("localhost", names, ExtendedKeyUsagePurpose::ServerAuth).map_err(failed)?;
        let client_names = vec!["tidegate-client".to_owned()];
        let (client, client_key) =
            issue("tidegate-client", client_names, ExtendedKeyUsagePurpose::ClientAuth).map_err(failed)?;
        let server_pem = (server.pem(), server_key.serialize_pem());
        let server = (server.der().clone(), server_key.serialize_der());
        let client = (client.pem(), client_key.serialize_pem());
        Ok(Self { authority, server, server_pem, client })
    }

    /// The authority's certificate.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// The client's certificate and private key.
    pub fn client_pem(&self) -> (&str, &str) {
        (&self.client.0, &self.client.1)
    }

    /// The server's certificate and private key, for a receiver that is not ours.
    pub fn server_pem(&self) -> (&str, &str) {
        (&self.server_pem.0, &self.server_pem.1)
    }

    /// The server's side; it may insist on a certificate of this authority.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn acceptor(&self, client_certificates: bool) -> Result<TlsAcceptor, SimulatorError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let builder = if client_certificates {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority.der().clone()).map_err(failed)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(failed)?)
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = &self.server;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
        let config = builder.with_single_cert(vec![certificate.clone()], key).map_err(failed)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

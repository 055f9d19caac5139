//! A certificate as far as its app needs it: thumbprints, the end of its validity, and whose key it is.
//!
//! Only the way to those three is read (RFC 5280, section 4.1); whether the certificate is good is for Entra to say.

use crate::key::{Der, pem_blocks, pem_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDateTime, Utc};
use ring::digest;

/// The first certificate of a PEM text, which in a chain is the app's own.
pub(super) struct Certificate {
    der: Vec<u8>,
    /// `notAfter`.
    pub(super) expires: DateTime<Utc>,
    public: Vec<u8>,
}

impl Certificate {
    /// `None`: no certificate in PEM.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (_, body) = pem_blocks(text).find(|(label, _)| *label == "CERTIFICATE")?;
        let der = pem_bytes(body)?.to_vec();
        let (whole, _) = Der(&der).take(SEQUENCE)?;
        let (signed, _) = whole.take(SEQUENCE)?;
        // The version is left out of certificates of version 1.
        let signed = signed.take(0xA0).map_or(signed, |(_, after)| after);
        let (_serial, signed) = signed.take(0x02)?;
        let (_algorithm, signed) = signed.take(SEQUENCE)?;
        let (_issuer, signed) = signed.take(SEQUENCE)?;
        let (validity, signed) = signed.take(SEQUENCE)?;
        let (_subject, signed) = signed.take(SEQUENCE)?;
        let (key, _) = signed.take(SEQUENCE)?;
        let (_algorithm, key) = key.take(SEQUENCE)?;
        let (bits, _) = key.take(0x03)?;
        // A bit string starts with the number of unused bits.
        let public = bits.0.strip_prefix(&[0])?.to_vec();
        let (_, not_after) = time(validity)?;
        let (expires, _) = time(not_after)?;
        Some(Self { expires, public, der })
    }

    /// Whether this is the certificate of the key with this public half.
    pub(super) fn is_of(&self, public: &[u8]) -> bool {
        self.public == public
    }

    /// `x5t#S256`.
    pub(super) fn sha256(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &self.der))
    }

    /// `x5t`.
    pub(super) fn sha1(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der))
    }
}

const SEQUENCE: u8 = 0x30;

/// `UTCTime` or `GeneralizedTime`, both in UTC and with seconds, as RFC 5280 demands; and what follows it.
fn time(der: Der<'_>) -> Option<(DateTime<Utc>, Der<'_>)> {
    let (text, form, after) = match (der.take(0x17), der.take(0x18)) {
        (Some((text, after)), _) => (text, "%y%m%d%H%M%SZ", after),
        (None, Some((text, after))) => (text, "%Y%m%d%H%M%SZ", after),
        (None, None) => return None,
    };
    let text = std::str::from_utf8(text.0).ok()?;
    Some((NaiveDateTime::parse_from_str(text, form).ok()?.and_utc(), after))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::key::Key;

    fn file(path: &str) -> Vec<u8> {
        std::fs::read(format!("{}/src/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn reads_what_openssl_says_of_the_same_file() {
        let certificate = Certificate::read(&file("entra/testkeys/certificate.pem")).unwrap();
        assert_eq!(certificate.sha256(), "K4L_oix0EKxXTAISOET1W0Ee6oUQ4tKRF1w3B4y-MZw");
        assert_eq!(certificate.sha1(), "_mqh0i-OZQlxdpntZ5Du9JOTk4k");
        assert_eq!(certificate.expires.to_rfc3339(), "2027-03-01T12:00:00+00:00");
        let later = Certificate::read(&file("entra/testkeys/certificate-2060.pem")).unwrap();
        assert_eq!(later.expires.to_rfc3339(), "2060-12-31T23:59:59+00:00");
    }

    #[test]
    fn tells_its_own_key_from_another() {
        let key = Key::read(&file("okta/testkeys/rsa-pkcs8.pem")).unwrap();
        let of = |name: &str| {
            Certificate::read(&file(&format!("entra/testkeys/{name}.pem"))).unwrap().is_of(key.public_bytes())
        };
        assert!(of("certificate"));
        assert!(!of("certificate-of-another-key"));
    }

    #[test]
    fn what_is_no_certificate_is_none_wherever_it_is_cut() {
        assert!(Certificate::read(&file("okta/testkeys/rsa-pkcs8.pem")).is_none());
        assert!(Certificate::read(b"\xff").is_none() && Certificate::read(b"").is_none());
        let whole = file("entra/testkeys/certificate.pem");
        let text = std::str::from_utf8(&whole).unwrap();
        let body = text.split("-----").nth(2).unwrap().split_ascii_whitespace().collect::<String>();
        for cut in (0..body.len()).step_by(4) {
            let cut = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", &body[..cut]);
            assert!(Certificate::read(cut.as_bytes()).is_none());
        }
        // A key in the same file is passed over.
        let both = [file("okta/testkeys/rsa-pkcs8.pem"), whole].concat();
        assert!(Certificate::read(&both).is_some() && Key::read(&both).is_ok());
    }
}

//! Private keys, and the JSON web tokens that they sign.
//!
//! Reads what people have: PEM (PKCS#8, PKCS#1, SEC 1) and JWK. Signs RS256/384/512, PS256, ES256 and ES384 with ring.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
    RsaKeyPair,
};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// What is wrong with a key. Holds none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("not a private key; a PEM file (PKCS#8, PKCS#1 or SEC 1) or a JWK is expected")]
    NotAKey,
    #[error("a public key; the private one is needed")]
    Public,
    #[error("the key is encrypted; decrypt it with `openssl pkcs8 -in KEY -out PLAIN -topk8 -nocrypt`")]
    Encrypted,
    #[error("the key holds no public part; rewrite it with `openssl pkcs8 -topk8 -nocrypt`")]
    NoPublicPart,
    #[error("the key cannot be used; accepted are RSA of 2048 bits and more, P-256 and P-384")]
    Unusable,
    #[error(
        "the JWK's alg is not known; accepted are RS256, RS384, RS512, ES256, ES384, and PS256 for a certificate"
    )]
    Algorithm,
    #[error("the key is no RSA key; this credential needs one (2048 bits and more)")]
    NotRsa,
    #[error("the system gave no random numbers, or the key does not sign")]
    Signing,
}

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
}

/// A private key that signs.
pub(crate) struct Key {
    pair: Pair,
    /// `alg` of what it signs.
    pub(crate) algorithm: &'static str,
    /// The JWK's own `kid`.
    pub(crate) id: Option<String>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.algorithm)
    }
}

impl Key {
    /// Reads PEM or JWK.
    pub(crate) fn read(text: &[u8]) -> Result<Self, KeyError> {
        if text.trim_ascii_start().starts_with(b"{") { Self::jwk(text) } else { Self::pem(text) }
    }

    /// A new P-256 key, for proofs.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| KeyError::Signing)?;
        Self::ec_pkcs8(document.as_ref())
    }

    fn pem(text: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(text).map_err(|_| KeyError::NotAKey)?;
        let mut seen = KeyError::NotAKey;
        // A file may hold more than the key: `EC PARAMETERS` before it, certificates behind it.
        for (label, body) in pem_blocks(text) {
            if label == "ENCRYPTED PRIVATE KEY" || body.contains("ENCRYPTED") {
                return Err(KeyError::Encrypted);
            }
            if label.ends_with("PUBLIC KEY") {
                seen = KeyError::Public;
            }
            if !label.ends_with("PRIVATE KEY") {
                continue;
            }
            let der = pem_bytes(body).ok_or(KeyError::NotAKey)?;
            return match label {
                "PRIVATE KEY" => match RsaKeyPair::from_pkcs8(&der) {
                    Ok(pair) => Ok(Self::rsa(pair, "RS256", &RSA_PKCS1_SHA256)),
                    Err(_) => Self::ec_pkcs8(&der),
                },
                "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der)
                    .map(|pair| Self::rsa(pair, "RS256", &RSA_PKCS1_SHA256))
                    .map_err(|_| KeyError::Unusable),
                "EC PRIVATE KEY" => Self::sec1(&der),
                _ => Err(KeyError::Unusable),
            };
        }
        Err(seen)
    }

    /// The same key, signing RS256 whatever its JWK names. Only RSA keys can.
    pub(crate) fn rs256(self) -> Result<Self, KeyError> {
        self.padded("RS256", &RSA_PKCS1_SHA256)
    }

    /// The same key, signing PS256. Only RSA keys can.
    pub(crate) fn ps256(self) -> Result<Self, KeyError> {
        self.padded("PS256", &RSA_PSS_SHA256)
    }

    fn padded(self, algorithm: &'static str, padding: &'static dyn RsaEncoding) -> Result<Self, KeyError> {
        match self.pair {
            Pair::Rsa(pair, _) => Ok(Self { id: self.id, ..Self::rsa(pair, algorithm, padding) }),
            Pair::Ec(_) => Err(KeyError::NotRsa),
        }
    }

    /// The public half as DER (PKCS#1's `RSAPublicKey`, or the point of a curve), as certificates hold it.
    pub(crate) fn public_bytes(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair, _) => pair.public().as_ref(),
            Pair::Ec(pair) => pair.public_key().as_ref(),
        }
    }

    fn rsa(pair: RsaKeyPair, algorithm: &'static str, padding: &'static dyn RsaEncoding) -> Self {
        Self { pair: Pair::Rsa(pair, padding), algorithm, id: None }
    }

    fn ec(
        algorithm: &'static str,
        curve: &'static EcdsaSigningAlgorithm,
        private: &[u8],
        public: &[u8],
    ) -> Result<Self, KeyError> {
        EcdsaKeyPair::from_private_key_and_public_key(curve, private, public, &SystemRandom::new())
            .map(|pair| Self { pair: Pair::Ec(pair), algorithm, id: None })
            .map_err(|_| KeyError::Unusable)
    }

    fn ec_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        for (algorithm, curve) in
            [("ES256", &ECDSA_P256_SHA256_FIXED_SIGNING), ("ES384", &ECDSA_P384_SHA384_FIXED_SIGNING)]
        {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve, der, &random) {
                return Ok(Self { pair: Pair::Ec(pair), algorithm, id: None });
            }
        }
        // PKCS#8 is { version, algorithm, octets }, and the octets of an EC key are SEC 1; ring reads only some forms.
        let inner = Der(der)
            .take(0x30)
            .and_then(|(mut body, _)| {
                body = body.take(0x02)?.1;
                body = body.take(0x30)?.1;
                body.take(0x04)
            })
            .map(|(octets, _)| octets.0);
        inner.map_or(Err(KeyError::Unusable), Self::sec1)
    }

    /// RFC 5915: { 1, private octets, [0] curve, [1] public bits }.
    fn sec1(der: &[u8]) -> Result<Self, KeyError> {
        let parts = || {
            let (body, _) = Der(der).take(0x30)?;
            let (_, body) = body.take(0x02)?;
            let (private, body) = body.take(0x04)?;
            let body = body.take(0xA0).map_or(body, |(_, after)| after);
            Some((private.0, body.take(0xA1).and_then(|(public, _)| public.take(0x03))))
        };
        let (private, public) = parts().ok_or(KeyError::Unusable)?;
        // A bit string starts with the number of unused bits.
        let public = public.and_then(|(bits, _)| bits.0.strip_prefix(&[0])).ok_or(KeyError::NoPublicPart)?;
        match private.len() {
            32 => Self::ec("ES256", &ECDSA_P256_SHA256_FIXED_SIGNING, private, public),
            48 => Self::ec("ES384", &ECDSA_P384_SHA384_FIXED_SIGNING, private, public),
            _ => Err(KeyError::Unusable),
        }
    }

    fn jwk(text: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Jwk {
            kty: String,
            alg: Option<String>,
            crv: Option<String>,
            kid: Option<String>,
            n: Option<Part>,
            e: Option<Part>,
            d: Option<Part>,
            p: Option<Part>,
            q: Option<Part>,
            dp: Option<Part>,
            dq: Option<Part>,
            qi: Option<Part>,
            x: Option<Part>,
            y: Option<Part>,
        }
        let jwk: Jwk = serde_json::from_slice(text).map_err(|_| KeyError::NotAKey)?;
        let Some(d) = jwk.d else { return Err(KeyError::Public) };
        let mut key = match (jwk.kty.as_str(), jwk.alg.as_deref(), jwk.crv.as_deref()) {
            ("RSA", algorithm, _) => {
                let (algorithm, padding): (_, &'static dyn RsaEncoding) = match algorithm {
                    None | Some("RS256") => ("RS256", &RSA_PKCS1_SHA256),
                    Some("RS384") => ("RS384", &RSA_PKCS1_SHA384),
                    Some("RS512") => ("RS512", &RSA_PKCS1_SHA512),
                    Some("PS256") => ("PS256", &RSA_PSS_SHA256),
                    Some(_) => return Err(KeyError::Algorithm),
                };
                let part = |part: Option<Part>| part.ok_or(KeyError::NoPublicPart);
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents { n: part(jwk.n)?, e: part(jwk.e)? },
                    d,
                    p: part(jwk.p)?,
                    q: part(jwk.q)?,
                    dP: part(jwk.dp)?,
                    dQ: part(jwk.dq)?,
                    qInv: part(jwk.qi)?,
                };
                let pair = RsaKeyPair::from_components(&components).map_err(|_| KeyError::Unusable)?;
                Self::rsa(pair, algorithm, padding)
            }
            ("EC", algorithm, Some(curve)) => {
                let (Some(x), Some(y)) = (jwk.x, jwk.y) else { return Err(KeyError::NoPublicPart) };
                let public = [&[4], x.as_ref(), y.as_ref()].concat();
                let (own, curve) = match curve {
                    "P-256" => ("ES256", &ECDSA_P256_SHA256_FIXED_SIGNING),
                    "P-384" => ("ES384", &ECDSA_P384_SHA384_FIXED_SIGNING),
                    _ => return Err(KeyError::Unusable),
                };
                if algorithm.is_some_and(|algorithm| algorithm != own) {
                    return Err(KeyError::Algorithm);
                }
                Self::ec(own, curve, d.as_ref(), &public)?
            }
            _ => return Err(KeyError::Unusable),
        };
        key.id = jwk.kid;
        Ok(key)
    }

    /// The public half as a JWK; only generated keys are asked.
    pub(crate) fn public_jwk(&self) -> Value {
        let Pair::Ec(pair) = &self.pair else { return Value::Null };
        let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at_checked(point.len() / 2).unwrap_or_default();
        let curve = if self.algorithm == "ES384" { "P-384" } else { "P-256" };
        json!({ "kty": "EC", "crv": curve, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) })
    }

    /// A signed token; `alg` is added to the header.
    pub(crate) fn sign(&self, mut header: Value, claims: &Value) -> Result<String, KeyError> {
        if let Some(header) = header.as_object_mut() {
            header.insert("alg".to_owned(), self.algorithm.into());
        }
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*padding, &random, token.as_bytes(), &mut signature)
                    .map_err(|_| KeyError::Signing)?;
                signature
            }
            Pair::Ec(pair) => {
                pair.sign(&random, token.as_bytes()).map_err(|_| KeyError::Signing)?.as_ref().to_vec()
            }
        };
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// A value that is never used twice.
pub(crate) fn unique() -> Result<String, KeyError> {
    let mut bytes = [0u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Signing)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A member of a JWK.
struct Part(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| serde::de::Error::custom("not base64url"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

/// The blocks of a PEM text: label and what stands between the marks.
pub(crate) fn pem_blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("-----BEGIN ").skip(1).filter_map(|block| {
        let (label, rest) = block.split_once("-----")?;
        Some((label, rest.split_once("-----END").map_or(rest, |(body, _)| body)))
    })
}

/// What a block of PEM holds.
pub(crate) fn pem_bytes(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    let packed = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
    STANDARD.decode(&*packed).ok().map(Zeroizing::new)
}

/// As much DER as keys and certificates need.
#[derive(Clone, Copy)]
pub(crate) struct Der<'d>(pub(crate) &'d [u8]);

impl<'d> Der<'d> {
    /// The content of the element with this tag, and what follows it.
    pub(crate) fn take(self, tag: u8) -> Option<(Self, Self)> {
        let (first, rest) = self.0.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=127 => (usize::from(*length), rest),
            0x81 | 0x82 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7F))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        (*first == tag).then_some((Self(content), Self(rest)))
    }
}

//! The key that signs, and its public half.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The key's file in the state directory.
const FILE: &str = "id-token-key.der";
/// The public half of a key of 2,048 bits as PKCS#1 writes it (RFC 8017, A.1.1): the modulus after a head of fixed length,
/// and the exponent 65,537.
const MODULUS: std::ops::Range<usize> = 9..265;
const EXPONENT: std::ops::Range<usize> = 267..270;

/// Tokens cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The key's file.
    #[error("{}: the key of ID tokens cannot be read or written", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The file has something else.
    #[error("{}: this is no RSA key; remove the file, and a new one is made", .0.display())]
    Shape(PathBuf),
    /// The library.
    #[error("no RSA key can be made")]
    Make,
}

/// Signs tokens.
#[derive(Debug)]
pub(crate) struct Signer {
    key: KeyPair,
    id: String,
}

impl Signer {
    /// The key of an earlier run, or a new one.
    pub(crate) fn load_or_make(dir: &Path) -> Result<Self, SignerError> {
        let path = dir.join(FILE);
        let key = match std::fs::read(&path) {
            Ok(der) => KeyPair::from_pkcs8(&der).map_err(|_| SignerError::Shape(path.clone()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => made(&path)?,
            Err(error) => return Err(SignerError::File(path, error)),
        };
        if key.public_key().as_ref().len() != EXPONENT.end {
            return Err(SignerError::Shape(path));
        }
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_key().as_ref()));
        Ok(Self { key, id })
    }

    /// The public half, as a JSON web key.
    pub(crate) fn public(&self) -> Value {
        let public = self.key.public_key().as_ref();
        json!({
            "kty": "RSA",
            "kid": self.id,
            "use": "sig",
            "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(&public[MODULUS]),
            "e": URL_SAFE_NO_PAD.encode(&public[EXPONENT]),
        })
    }

    /// A signed token. Equal claims make equal tokens.
    pub(crate) fn token(&self, claims: &Value) -> Result<String, SignerError> {
        let head = json!({"alg": "RS256", "kid": self.id, "typ": "JWT"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| SignerError::Make)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn made(path: &Path) -> Result<KeyPair, SignerError> {
    let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| SignerError::Make)?;
    let der = key.as_der().map_err(|_| SignerError::Make)?;
    let mut options = std::fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(path);
    let written = written.and_then(|mut file| file.write_all(der.as_ref()).and_then(|()| file.sync_all()));
    written.map_err(|error| SignerError::File(path.to_owned(), error))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    #[test]
    fn a_token_is_proved_by_the_published_key_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let token = Signer::load_or_make(dir.path()).unwrap().token(&json!({"sub": "a"})).unwrap();
        let again = Signer::load_or_make(dir.path()).unwrap();
        assert_eq!(again.token(&json!({"sub": "a"})).unwrap(), token);
        let public = again.public();
        let text = |name: &str| bytes(public[name].as_str().unwrap());
        let key = RsaPublicKeyComponents { n: text("n"), e: text("e") };
        let (signed, signature) = token.rsplit_once('.').unwrap();
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &bytes(signature)).unwrap();
        let head: Value = serde_json::from_slice(&bytes(signed.split_once('.').unwrap().0)).unwrap();
        assert_eq!(head["kid"], public["kid"]);
        let other = format!("{signed}x");
        key.verify(&RSA_PKCS1_2048_8192_SHA256, other.as_bytes(), &bytes(signature)).unwrap_err();
    }

    #[test]
    fn a_file_that_is_no_key_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "no key").unwrap();
        let error = Signer::load_or_make(dir.path()).unwrap_err();
        assert!(matches!(error, SignerError::Shape(_)), "{error}");
    }
}

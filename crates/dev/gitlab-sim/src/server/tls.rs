//! A certificate authority and a certificate for one state directory.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig, crypto::aws_lc_rs};

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates could not be made.
    #[error("cannot make certificates")]
    Make(#[from] rcgen::Error),
    /// rustls refuses them.
    #[error("cannot use the certificates")]
    Use(#[from] rustls::Error),
    /// A file cannot be written.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
    /// A file of an earlier run is no certificate or key.
    #[error("{}: not the certificate or key of an earlier run; remove the file to have new ones made", .0.display())]
    Read(PathBuf, #[source] rustls::pki_types::pem::Error),
}

/// The authority's certificate, for clients.
pub(crate) const CA_FILE: &str = "ca.pem";
/// The server's certificate, and its key.
const SERVER_FILES: [&str; 2] = ["tls-server.pem", "tls-server-key.pem"];

/// TLS with the certificates of the state directory. Without any an authority is made, and by it a server certificate for
/// the loopback names: the same ones serve after a restart.
///
/// # Errors
/// See [`TlsError`].
pub(crate) fn acceptor(dir: &Path) -> Result<TlsAcceptor, TlsError> {
    let [certificate, key] = SERVER_FILES.map(|name| dir.join(name));
    if ![&dir.join(CA_FILE), &certificate, &key].into_iter().all(|file| file.exists()) {
        make(dir, &certificate, &key)?;
    }
    let unread = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::Read(path, error)
    };
    let chain = vec![CertificateDer::from_pem_file(&certificate).map_err(unread(&certificate))?];
    let key = PrivateKeyDer::from_pem_file(&key).map_err(unread(&key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn make(dir: &Path, certificate: &Path, key: &Path) -> Result<(), TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "gitlab-sim authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let pair = KeyPair::generate()?;
    let names = ["127.0.0.1", "localhost", "::1"].map(str::to_owned);
    let server = CertificateParams::new(names)?.signed_by(&pair, &authority)?;
    write(&dir.join(CA_FILE), 0o644, &authority.pem())?;
    write(certificate, 0o644, &server.pem())?;
    write(key, 0o600, &pair.serialize_pem())
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(mode).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| TlsError::Write(path.to_owned(), error))
}

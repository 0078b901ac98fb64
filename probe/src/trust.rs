//! Whose certificates count.

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// Mozilla's authorities, and those of a PEM file. Not the system's: a Nano Server has hardly any, asks Microsoft for others
/// while a handshake waits, and lets an ordinary user add none.
///
/// # Errors
/// The file can not be read, or has no certificate in it: the text names it.
pub fn config(extra: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = extra {
        let wrong = |why: &dyn ToString| format!("{}: {}", file.display(), why.to_string());
        let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<_, _>>)
            .map_err(|error| wrong(&error))?;
        if certificates.is_empty() {
            return Err(wrong(&"no certificate in it"));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

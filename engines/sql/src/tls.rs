//! How to talk TLS to the servers.

use std::path::Path;
use std::sync::Arc;

use leasehold_core::Error;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::config::Tls;

/// Reads the certificates. Without a `ca` the system's authorities are trusted.
///
/// # Errors
///
/// [`Error::Invalid`] for a file that cannot be read or used.
pub(crate) fn connector(tls: &Tls) -> Result<TlsConnector, Error> {
    // Whichever provider the program has chosen is used.
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let refuse = |what: &'static str, why: rustls::Error| {
        Error::invalid(what, "(the system's)", format!("give another ({why})"))
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| refuse("TLS provider", why))?
        .with_root_certificates(roots(tls.ca.as_deref())?);
    let config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates("cert", cert)?;
            let secret = PrivateKeyDer::from_pem_file(key);
            let secret = secret.map_err(|error| unreadable("key", key, &error))?;
            let config = config.with_client_auth_cert(chain, secret);
            config.map_err(|why| refuse("cert and key", why))?
        }
        _ => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = ca else {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some of the system's certificates cannot be read; name those to trust with ca=");
        }
        roots.add_parsable_certificates(found.certs);
        return Ok(roots);
    };
    for certificate in certificates("ca", ca)? {
        roots.add(certificate).map_err(|why| {
            let shown = ca.display().to_string();
            Error::invalid("ca", shown, format!("name an authority's ({why})"))
        })?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path);
    let all = read.and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>());
    let all = all.map_err(|error| unreadable(key, path, &error))?;
    match all.is_empty() {
        true => Err(unreadable(key, path, &pem::Error::NoItemsFound)),
        false => Ok(all),
    }
}

fn unreadable(key: &'static str, path: &Path, error: &pem::Error) -> Error {
    Error::invalid(
        key,
        path.display().to_string(),
        format!("name a readable file in PEM format ({error})"),
    )
}

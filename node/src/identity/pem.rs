//! Certificates as text (RFC 7468), for files that people look into.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const LINE: usize = 64;

/// A certificate in PEM.
#[must_use]
pub fn encode(certificate: &CertificateDer<'_>) -> String {
    let base64 = data_encoding::BASE64.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for start in (0..base64.len()).step_by(LINE) {
        text.push_str(&base64[start..base64.len().min(start + LINE)]);
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// The first certificate in PEM text.
#[must_use]
pub fn decode(text: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(text.as_bytes()).ok()
}

use super::*;
use crate::identity::{PrivateKey, SealingSecret};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn serial(byte: u8) -> Serial {
    Serial::from_random([byte; 16])
}

fn authority(number: u128) -> CertificateAuthority {
    CertificateAuthority::create(ClusterId::from_parts(1, number), serial(1), now()).unwrap()
}

#[test]
fn a_node_certificate_names_cluster_node_and_serial_for_thirty_days() {
    let (ca, node, key) = (authority(1), NodeId::from_parts(5, 5), PrivateKey::generate().unwrap());
    let certificate = ca.sign_node(&key.signing_request().unwrap(), node, serial(0xff), now()).unwrap();
    let (peer, validity) = PeerIdentity::from_certificate(&certificate).unwrap();
    let expected = PeerIdentity::Node { cluster: ca.cluster, node, serial: serial(0xff) };
    assert_eq!(peer, expected);
    assert_eq!(validity.until, now() + NODE_LIFETIME);
    assert!(!validity.renewal_due(now()));
}

#[test]
fn an_operator_certificate_names_operator_and_role() {
    let (ca, key) = (authority(1), PrivateKey::generate().unwrap());
    let name: OperatorName = "anna.b".parse().unwrap();
    let request = key.signing_request().unwrap();
    let certificate = ca.sign_operator(&request, &name, Role::Admin, serial(2), now()).unwrap();
    let (peer, _) = PeerIdentity::from_certificate(&certificate).unwrap();
    let expected = PeerIdentity::Operator { cluster: ca.cluster, name, role: Role::Admin, serial: serial(2) };
    assert_eq!(peer, expected);
}

#[test]
fn the_ca_opens_from_its_sealed_key_and_signs_as_before() {
    let (ca, voter) = (authority(1), SealingSecret::from_bytes([4; 32]));
    let sealed = voter.public().seal(&ca.key()).unwrap();
    let opened = voter.open(&sealed).unwrap();
    let again = CertificateAuthority::open(ca.cluster, ca.certificate(), &opened).unwrap();
    assert_eq!(again.digest(), ca.digest());

    let request = PrivateKey::generate().unwrap().signing_request().unwrap();
    let certificate = again.sign_node(&request, NodeId::from_parts(5, 5), serial(2), now()).unwrap();
    let (_, issued) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    let (_, issuer) = x509_parser::parse_x509_certificate(ca.certificate()).unwrap();
    assert_eq!(issued.issuer(), issuer.subject());
}

#[test]
fn a_key_of_another_ca_is_refused() {
    let (ca, other) = (authority(1), authority(2));
    let error = CertificateAuthority::open(ca.cluster, ca.certificate(), &other.key()).err().unwrap();
    assert!(matches!(error, AuthorityError::KeyMismatch), "{error}");
}

#[test]
fn a_signing_request_decides_nothing_but_the_key() {
    let (ca, node) = (authority(1), NodeId::from_parts(5, 5));
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut wishes = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let request = wishes.serialize_request(&key).unwrap();
    let certificate = ca.sign_node(request.der(), node, serial(2), now()).unwrap();
    let (_, issued) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    assert!(!issued.is_ca());
    let names = format!("{:?}", issued.subject_alternative_name().unwrap().unwrap().value);
    assert!(!names.contains("evil"), "{names}");
}

#[test]
fn a_damaged_or_foreign_signing_request_is_refused() {
    let (ca, node) = (authority(1), NodeId::from_parts(5, 5));
    let mut request = PrivateKey::generate().unwrap().signing_request().unwrap();
    *request.last_mut().unwrap() ^= 1;
    let error = ca.sign_node(&request, node, serial(2), now()).unwrap_err();
    assert!(matches!(error, AuthorityError::Request(_)), "{error}");

    let ecdsa = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let request = CertificateParams::default().serialize_request(&ecdsa).unwrap();
    let error = ca.sign_node(request.der(), node, serial(2), now()).unwrap_err();
    assert!(matches!(error, AuthorityError::RequestKey), "{error}");
}

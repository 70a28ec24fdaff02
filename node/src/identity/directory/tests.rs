use super::*;
use crate::identity::{CertificateAuthority, Serial};
use crate::ids::{ClusterId, NodeId};
use jiff::Timestamp;

fn candidate(number: u128, name: &str) -> Candidate {
    Candidate {
        node: NodeId::from_parts(5, number),
        name: name.into(),
        key: PrivateKey::generate().unwrap(),
        sealing: SealingSecret::from_bytes([9; 32]),
    }
}

fn admit(candidate: Candidate, cluster: u128) -> NodeIdentity {
    let (cluster, now) = (ClusterId::from_parts(1, cluster), Timestamp::from_second(1_800_000_000).unwrap());
    let ca = CertificateAuthority::create(cluster, Serial::from_random([1; 16]), now).unwrap();
    let request = candidate.key.signing_request().unwrap();
    let certificate = ca.sign_node(&request, candidate.node, Serial::from_random([2; 16]), now).unwrap();
    candidate.admitted(cluster, certificate, vec![ca.certificate().clone()]).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn keeps_a_candidate_and_then_the_member_it_became() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("state");
    let directory = IdentityDirectory::open(&path).unwrap();
    assert!(matches!(directory.load("a").unwrap(), Stored::Empty));

    let candidate = candidate(1, "a");
    directory.store_candidate(&candidate).unwrap();
    let Stored::Candidate(read) = directory.load("a").unwrap() else { panic!("a candidate was stored") };
    assert_eq!(read.node, candidate.node);
    assert_eq!(read.key.public_key(), candidate.key.public_key());

    let member = admit(read, 1);
    directory.store(&member).unwrap();
    drop(directory);
    let directory = IdentityDirectory::open(&path).unwrap();
    let Stored::Member(read) = directory.load("a").unwrap() else { panic!("a member was stored") };
    assert_eq!(read.certificate, member.certificate);
    assert_eq!(read.ca_certificates, member.ca_certificates);
    assert_eq!(read.sealing.to_bytes(), [9; 32]);
    assert_eq!((mode(&path), mode(&path.join(FILE))), (0o700, 0o600));
    assert!(directory.store_candidate(&candidate).is_err(), "a candidate does not replace a member");
}

#[test]
fn refuses_the_directory_of_another_node_or_cluster() {
    let root = tempfile::tempdir().unwrap();
    let directory = IdentityDirectory::open(&root.path().join("state")).unwrap();
    let member = admit(candidate(1, "a"), 1);
    directory.store(&member).unwrap();

    let error = directory.load("b").unwrap_err();
    assert!(matches!(error, DirectoryError::OtherNode { .. }), "{error}");
    assert!(error.to_string().contains("belongs to node \"a\", and this is node \"b\""), "{error}");

    let error = directory.store(&admit(candidate(2, "a"), 1)).unwrap_err();
    assert!(matches!(error, DirectoryError::OtherNode { .. }), "{error}");
    let error = directory.store(&admit(candidate(1, "a"), 2)).unwrap_err();
    assert!(matches!(error, DirectoryError::OtherCluster { .. }), "{error}");

    let Stored::Member(read) = directory.load("a").unwrap() else { panic!("the member is still there") };
    assert_eq!(read.certificate, member.certificate);
}

#[test]
fn refuses_a_directory_in_use_and_one_that_others_can_read() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("state");
    let directory = IdentityDirectory::open(&path).unwrap();
    assert!(matches!(IdentityDirectory::open(&path).unwrap_err(), DirectoryError::InUse(_)));
    drop(directory);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    let error = IdentityDirectory::open(&path).unwrap_err();
    assert!(error.to_string().contains("chmod 0700"), "{error}");
}

#[test]
fn refuses_a_damaged_file_without_showing_its_secrets() {
    let root = tempfile::tempdir().unwrap();
    let directory = IdentityDirectory::open(&root.path().join("state")).unwrap();
    directory.store(&admit(candidate(1, "a"), 1)).unwrap();
    let mut content: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(directory.file()).unwrap()).unwrap();

    content["private_key"] = PrivateKey::generate().unwrap().to_pem().into();
    fs::write(directory.file(), content.to_string()).unwrap();
    let error = directory.load("a").unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");

    content["private_key"] = "hunter2".into();
    fs::write(directory.file(), content.to_string()).unwrap();
    let error = directory.load("a").unwrap_err();
    assert!(matches!(error, DirectoryError::Key { .. }));
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");

    fs::write(directory.file(), "{\"format\": 1, ").unwrap();
    assert!(matches!(directory.load("a").unwrap_err(), DirectoryError::Damaged { .. }));
}

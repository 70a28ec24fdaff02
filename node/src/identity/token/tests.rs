use super::*;

fn token() -> JoinToken {
    JoinToken {
        cluster: ClusterId::from_parts(1, 1),
        id: TokenId::from_parts(2, 2),
        secret: TokenSecret::from_bytes([3; 32]),
        ca_digest: Digest::of(b"ca"),
        seeds: vec!["10.0.0.1:7400".parse().unwrap(), "[fd00::2]:7400".parse().unwrap()],
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn node(number: u128) -> NodeId {
    NodeId::from_parts(9, number)
}

fn check(
    record: Option<&TokenRecord>,
    presented: &PresentedToken,
    by: NodeId,
    now: i64,
) -> Result<(), TokenError> {
    check_token(token().cluster, record, presented, by, at(now))
}

#[test]
fn text_carries_everything_the_joiner_needs() {
    let read: JoinToken = format!(" {}\n", token().to_text()).parse().unwrap();
    assert_eq!(read.cluster, token().cluster);
    assert_eq!(read.id, token().id);
    assert_eq!(read.secret.hash(), token().secret.hash());
    assert_eq!(read.ca_digest, token().ca_digest);
    assert_eq!(read.seeds, token().seeds);
}

#[test]
fn any_changed_letter_is_told_apart_from_a_forgery() {
    let text = token().to_text();
    for position in PREFIX.len()..text.len() {
        let mut damaged = text.clone().into_bytes();
        damaged[position] = if damaged[position] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(damaged).unwrap();
        assert_eq!(damaged.parse::<JoinToken>().unwrap_err(), TokenTextError::Checksum, "{position}");
        assert_eq!(text[..position].parse::<JoinToken>().unwrap_err(), TokenTextError::Checksum);
    }
    assert_eq!("hello".parse::<JoinToken>().unwrap_err(), TokenTextError::Prefix);
}

#[test]
fn admits_once_and_the_same_node_again() {
    let mut record = token().record(at(100), "anna".into());
    let presented = token().presented();
    assert_eq!(check(Some(&record), &presented, node(1), 50), Ok(()));
    record.used_by = Some(node(1));
    assert_eq!(check(Some(&record), &presented, node(1), 50), Ok(()), "its reply may have been lost");
    let used = TokenError::Used { id: token().id, by: node(1) };
    assert_eq!(check(Some(&record), &presented, node(2), 50), Err(used));
}

#[test]
fn each_bad_token_is_refused_with_its_own_reason() {
    let record = token().record(at(100), "anna".into());
    let id = token().id;
    let presented = token().presented();
    assert_eq!(check(Some(&record), &presented, node(1), 100), Err(TokenError::Expired { id, at: at(100) }));

    let forged = PresentedToken { secret: TokenSecret::from_bytes([4; 32]), ..token().presented() };
    assert_eq!(check(Some(&record), &forged, node(1), 50), Err(TokenError::Forged { id }));
    assert_eq!(check(Some(&record), &forged, node(1), 200), Err(TokenError::Forged { id }));
    assert_eq!(check(None, &presented, node(1), 50), Err(TokenError::Forged { id }));

    let theirs = ClusterId::from_parts(1, 2);
    let foreign = PresentedToken { cluster: theirs, ..presented };
    let ours = token().cluster;
    assert_eq!(
        check(Some(&record), &foreign, node(1), 50),
        Err(TokenError::OtherCluster { id, theirs, ours })
    );
}

#[test]
fn every_refusal_names_the_remedy() {
    let id = token().id;
    for error in [
        TokenError::Forged { id },
        TokenError::Expired { id, at: at(1) },
        TokenError::Used { id, by: node(1) },
        TokenError::OtherCluster { id, theirs: ClusterId::from_parts(1, 2), ours: token().cluster },
    ] {
        let text = error.to_string();
        assert!(text.contains(&id.to_string()) && text.contains("`relupctl cluster token`"), "{text}");
    }
}

#[test]
fn the_secret_is_in_neither_debug_output_nor_record() {
    let token = token();
    assert!(format!("{token:?}").contains("TokenSecret(secret)"));
    let record = serde_json::to_string(&token.record(at(1), "anna".into())).unwrap();
    assert!(!record.contains(&data_encoding::HEXLOWER.encode(token.secret.as_bytes())));
}

//! A push: what is missing, sent once, kept whole or not at all.

use crate::client::{connect, refusal};
use crate::daemon::Served;
use crate::world::{World, spec};
use relupd::ids::Digest;
use relupd_proto::api::v1;
use std::sync::atomic::Ordering;
use tonic::Code;
use tonic::transport::Channel;
use v1::release_service_client::ReleaseServiceClient;

async fn client(served: &Served) -> ReleaseServiceClient<Channel> {
    ReleaseServiceClient::new(connect(served).await)
}

fn part(content: &[u8], chunk: &[u8], last: bool) -> v1::UploadFilesRequest {
    v1::UploadFilesRequest { digest: Digest::of(content).to_string(), chunk: chunk.to_vec(), last }
}

async fn missing(client: &mut ReleaseServiceClient<Channel>) -> usize {
    let request = v1::CheckManifestRequest { manifest: Vec::new() };
    client.check_manifest(request).await.unwrap().into_inner().missing.len()
}

#[tokio::test]
async fn files_arrive_in_pieces_and_are_not_asked_for_again() {
    let served = Served::start(World::settled(1, spec()));
    let mut client = client(&served).await;
    assert_eq!(missing(&mut client).await, 2);
    let parts = vec![part(b"one", b"o", false), part(b"one", b"ne", true), part(b"two", b"two", true)];
    let received = client.upload_files(tokio_stream::iter(parts)).await.unwrap().into_inner();
    assert_eq!((received.files, received.bytes), (2, 6));
    assert_eq!(missing(&mut client).await, 0);
    client.commit_push(v1::CommitPushRequest { manifest: Vec::new() }).await.unwrap();
}

#[tokio::test]
async fn a_push_that_breaks_off_keeps_whole_files_only() {
    let served = Served::start(World::settled(1, spec()));
    let mut client = client(&served).await;
    let parts = vec![part(b"one", b"one", true), part(b"two", b"t", false)];
    let (code, _, message) = refusal(client.upload_files(tokio_stream::iter(parts)).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("push again"), "{message}");
    assert_eq!(missing(&mut client).await, 1);
    let commit = client.commit_push(v1::CommitPushRequest { manifest: Vec::new() }).await;
    assert_eq!(refusal(commit).0, Code::InvalidArgument);
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let served = Served::start(World::settled(1, spec()));
    let mut client = client(&served).await;
    let (code, _, _) = refusal(client.upload_files(tokio_stream::iter([part(b"one", b"two", true)])).await);
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(missing(&mut client).await, 2);
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full() {
    let served = Served::start(World::settled(1, spec()));
    served.daemon.disk_full.store(true, Ordering::Relaxed);
    let mut client = client(&served).await;
    let (code, name, message) =
        refusal(client.upload_files(tokio_stream::iter([part(b"one", b"one", true)])).await);
    assert_eq!((code, name.as_str()), (Code::ResourceExhausted, "disk-full"));
    assert!(message.contains("/var/lib/relupd/store") && message.contains("node n1"), "{message}");
}

//! `relupctl release push`: the archive is read twice, first for its manifest, then for the files that
//! the daemon lacks. Everything may be repeated; only the last call registers the release.

use super::source::Source;
use crate::human;
use crate::session::{Session, answer, present};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use relupd_proto::api::v1;
use relupd_release::Digest;
use relupd_release::archive::{self, Archive, ArchiveError, Discard, Limits, Sink};
use relupd_release::manifest::{EntryKind, Manifest, MemberPath, Mode};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes of a file in one message: far below gRPC's limit of 4 MiB, far above its overhead.
const CHUNK: usize = 256 << 10;

/// Messages on their way: the disk reads while the network sends.
const AHEAD: usize = 8;

/// What a push came to.
pub(super) struct Pushed {
    pub(super) release: v1::Release,
    /// How much of it had to be sent, for a person.
    pub(super) sent: String,
}

pub(super) async fn push(session: &Session, file: PathBuf) -> anyhow::Result<Pushed> {
    let source = spawn_blocking(|| Source::of(file)).await??;
    let manifest = manifest_of(source.clone()).await?;
    let bytes = manifest.to_bytes();
    let mut client = session.releases();
    let request = v1::CheckManifestRequest { manifest: bytes.clone() };
    let missing = parse_digests(&answer(client.check_manifest(request).await)?.missing)?;
    let sizes = manifest.contents();
    let total: u64 = missing.iter().filter_map(|digest| sizes.get(digest)).sum();
    let mut sent = format!(
        "sent {} of {} files, {} of {}",
        missing.len(),
        sizes.len(),
        human::size(total),
        human::size(manifest.size())
    );
    if !source.left_out().is_empty() {
        let _ = write!(
            sent,
            "; left out, as a running release writes it (an archive may hold it): {}",
            source.left_out().join(", ")
        );
    }
    if !missing.is_empty() {
        upload(session, source, Outgoing::new(manifest, missing, total)).await?;
    }
    let committed = client.commit_push(v1::CommitPushRequest { manifest: bytes }).await;
    Ok(Pushed { release: present(answer(committed)?.release)?, sent })
}

/// Reads the whole archive and believes nothing in it before its end.
async fn manifest_of(source: Source) -> anyhow::Result<Manifest> {
    spawn_blocking(move || {
        let archive: Archive = archive::read(source.open()?, Limits::default(), &mut Discard)
            .with_context(|| format!("{} cannot be pushed", source.name()))?;
        Ok(archive.manifest)
    })
    .await?
}

async fn upload(session: &Session, source: Source, outgoing: Outgoing) -> anyhow::Result<()> {
    let (parts, receiver) = mpsc::channel(AHEAD);
    let reading = spawn_blocking(move || {
        let read = source.open()?;
        let mut sender = Sender { outgoing, parts };
        let ended = archive::read(read, Limits::default(), &mut sender).map(drop);
        sender.outgoing.progress.finish_and_clear();
        anyhow::Ok(ended)
    });
    let mut client = session.releases();
    let (uploaded, read) = tokio::join!(client.upload_files(ReceiverStream::new(receiver)), reading);
    match read?? {
        // The daemon took no more: it says why.
        Ok(()) | Err(ArchiveError::Sink { .. }) => answer(uploaded).map(drop)?,
        Err(error) => return Err(error).context("the archive changed while it was being sent; push again"),
    }
    Ok(())
}

fn parse_digests(texts: &[String]) -> anyhow::Result<BTreeSet<Digest>> {
    texts.iter().map(|text| text.parse().context("the daemon asks for something that is no file")).collect()
}

/// What is still to be sent.
struct Outgoing {
    /// By path, as the archive comes by them.
    digests: BTreeMap<MemberPath, Digest>,
    missing: BTreeSet<Digest>,
    progress: ProgressBar,
}

impl Outgoing {
    fn new(manifest: Manifest, missing: BTreeSet<Digest>, total: u64) -> Self {
        let digests = manifest
            .entries()
            .iter()
            .filter_map(|entry| match &entry.kind {
                EntryKind::File { digest, .. } => Some((entry.path.clone(), *digest)),
                EntryKind::Directory | EntryKind::Symlink { .. } => None,
            })
            .collect();
        // Draws itself on a terminal only.
        let progress = ProgressBar::new(total);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {decimal_bytes}/{decimal_total_bytes} {eta}")
        {
            progress.set_style(style);
        }
        Self { digests, missing, progress }
    }

    /// The file's digest if it is to be sent; the same content is sent once.
    fn take(&mut self, path: &MemberPath) -> Option<Digest> {
        let digest = *self.digests.get(path)?;
        self.missing.remove(&digest).then_some(digest)
    }
}

/// Sends the files that are asked for, as the archive comes by them.
struct Sender {
    outgoing: Outgoing,
    parts: mpsc::Sender<v1::UploadFilesRequest>,
}

impl Sink for Sender {
    fn file(&mut self, path: &MemberPath, _: Mode, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let Some(digest) = self.outgoing.take(path) else { return Ok(()) };
        let digest = digest.to_string();
        let mut left = size;
        loop {
            let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            let mut chunk = vec![0; length];
            content.read_exact(&mut chunk)?;
            left -= length as u64;
            let last = left == 0;
            let part = v1::UploadFilesRequest { digest: digest.clone(), chunk, last };
            self.parts.blocking_send(part).map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.outgoing.progress.inc(length as u64);
            if last {
                return Ok(());
            }
        }
    }
}

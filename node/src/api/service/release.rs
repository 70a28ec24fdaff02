//! Releases: the catalog, and the three parts of a push.

use crate::api::context::{Context, peer};
use crate::api::control::{ControlError, MadeRelup};
use crate::api::error::{invalid, unavailable};
use crate::api::resolve;
use crate::api::view;
use crate::ids::Digest;
use crate::state::node::Role;
use crate::state::rejection::Rejection;
use bytes::{Bytes, BytesMut};
use relupd_proto::api::v1;
use relupd_release::{ApplicationName, Manifest};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

/// No file of a release is larger: a file is held in memory until it is whole.
const MAX_FILE: usize = 256 << 20;

/// An upload whose caller is silent for so long is given up.
const UPLOAD_SILENCE: Duration = Duration::from_secs(60);

/// Uploads at once on one node: each holds at most one file, so at most 1 GiB together.
const MAX_UPLOADS: usize = 4;

pub(crate) struct Releases {
    context: Context,
    uploads: Semaphore,
}

impl Releases {
    pub(crate) fn new(context: Context) -> Self {
        Self { context, uploads: Semaphore::new(MAX_UPLOADS) }
    }
}

#[tonic::async_trait]
impl v1::release_service_server::ReleaseService for Releases {
    async fn check_manifest(
        &self,
        request: Request<v1::CheckManifestRequest>,
    ) -> Result<Response<v1::CheckManifestResponse>, Status> {
        self.context.admit(&request, Role::Operator)?;
        let bytes = request.into_inner().manifest;
        refuse_other_content(&self.context, &bytes)?;
        let asked = self.context.control().missing_files(&bytes).await;
        let missing = asked.map_err(|error| self.context.status(&error))?;
        let missing = missing.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::CheckManifestResponse { missing }))
    }

    async fn upload_files(
        &self,
        request: Request<Streaming<v1::UploadFilesRequest>>,
    ) -> Result<Response<v1::UploadFilesResponse>, Status> {
        self.context.admit(&request, Role::Operator)?;
        let peer = peer(&request)?;
        let _permit = self.uploads.try_acquire().map_err(|_| {
            unavailable(format!(
                "{MAX_UPLOADS} uploads are under way on this node; push again when one of them is done"
            ))
        })?;
        let mut parts = request.into_inner();
        let mut assembly = Assembly::default();
        let mut received = v1::UploadFilesResponse::default();
        while let Some(part) = next_part(&mut parts).await? {
            if let Some((digest, content)) = assembly.add(&part)? {
                // A stream may be long, and its caller may have been revoked since it began.
                self.context.admit_peer(&peer, Role::Operator)?;
                received.files += 1;
                received.bytes += content.len() as u64;
                let put = self.context.control().put_file(digest, content).await;
                put.map_err(|error| self.context.status(&error))?;
            }
        }
        assembly.finish()?;
        Ok(Response::new(received))
    }

    async fn commit_push(
        &self,
        request: Request<v1::CommitPushRequest>,
    ) -> Result<Response<v1::CommitPushResponse>, Status> {
        let actor = self.context.admit(&request, Role::Operator)?;
        let committed = self.context.control().commit_push(actor, &request.into_inner().manifest).await;
        let id = committed.map_err(|error| self.context.status(&error))?;
        let state = self.context.local_state()?;
        let record = resolve::release(&state, id.name.as_str(), id.version.as_str())?;
        Ok(Response::new(v1::CommitPushResponse { release: Some(view::release::release(&state, record)) }))
    }

    async fn list_releases(
        &self,
        request: Request<v1::ListReleasesRequest>,
    ) -> Result<Response<v1::ListReleasesResponse>, Status> {
        self.context.admit(&request, Role::Viewer)?;
        let name = request.into_inner().name;
        let state = self.context.fresh_state().await?;
        let wanted = state.releases.iter().filter(|(found, _)| name.is_empty() || found.as_str() == name);
        let records = wanted.flat_map(|(_, versions)| versions.values());
        let releases = records.map(|record| view::release::release(&state, record)).collect();
        Ok(Response::new(v1::ListReleasesResponse { releases }))
    }

    async fn get_release(
        &self,
        request: Request<v1::GetReleaseRequest>,
    ) -> Result<Response<v1::GetReleaseResponse>, Status> {
        self.context.admit(&request, Role::Viewer)?;
        let request = request.into_inner();
        let state = self.context.fresh_state().await?;
        let record = resolve::release(&state, &request.name, &request.version)?;
        Ok(Response::new(v1::GetReleaseResponse { release: Some(view::release::release(&state, record)) }))
    }

    async fn describe_release(
        &self,
        request: Request<v1::DescribeReleaseRequest>,
    ) -> Result<Response<v1::DescribeReleaseResponse>, Status> {
        self.context.admit(&request, Role::Viewer)?;
        let request = request.into_inner();
        let state = self.context.fresh_state().await?;
        let record = resolve::release(&state, &request.name, &request.version)?;
        let contents = self.context.control().contents(&record.id).await;
        let contents = contents.map_err(|error| self.context.status(&error))?;
        let description = Some(view::contents::description(&state, record, &contents));
        Ok(Response::new(v1::DescribeReleaseResponse { description }))
    }

    async fn make_relup(
        &self,
        request: Request<v1::MakeRelupRequest>,
    ) -> Result<Response<v1::MakeRelupResponse>, Status> {
        let actor = self.context.admit(&request, Role::Operator)?;
        let request = request.into_inner();
        let state = self.context.fresh_state().await?;
        let mut sources = Vec::new();
        for from in &request.from {
            let [from, _] = resolve::two_releases(&state, &request.name, [from, &request.to])?;
            sources.push(from.id.clone());
        }
        let Some(first) = sources.first() else {
            return Err(invalid("--from: say which versions to come from"));
        };
        let to = resolve::release(&state, first.name.as_str(), &request.to)?.id.clone();
        if sources.contains(&to) {
            return Err(invalid("a release needs no relup to itself: --from and --to are the same"));
        }
        let appups = appups(request.appups)?;
        let made = self.context.control().make_relup(actor, &sources, &to, appups).await;
        Ok(Response::new(match made.map_err(|error| self.context.status(&error))? {
            MadeRelup::Missing(missing) => v1::MakeRelupResponse {
                release: None,
                missing: missing.into_iter().map(view::release::missing_appup).collect(),
            },
            MadeRelup::Made(id) => {
                let state = self.context.local_state()?;
                let record = resolve::release(&state, id.name.as_str(), id.version.as_str())?;
                let release = Some(view::release::release(&state, record));
                v1::MakeRelupResponse { release, missing: Vec::new() }
            }
        }))
    }

    async fn diff_releases(
        &self,
        request: Request<v1::DiffReleasesRequest>,
    ) -> Result<Response<v1::DiffReleasesResponse>, Status> {
        self.context.admit(&request, Role::Viewer)?;
        let request = request.into_inner();
        let state = self.context.fresh_state().await?;
        let [from, to] = resolve::two_releases(&state, &request.name, [&request.from, &request.to])?;
        let diff = self
            .context
            .control()
            .diff(&from.id, &to.id)
            .await
            .map_err(|error| self.context.status(&error))?;
        Ok(Response::new(v1::DiffReleasesResponse { diff: Some(view::diff::diff(&to.id.name, &diff)) }))
    }
}

fn appups(given: Vec<v1::Appup>) -> Result<BTreeMap<ApplicationName, Vec<u8>>, Status> {
    let named = given.into_iter().map(|appup| {
        let name = appup.application.parse().map_err(|error| invalid(format!("appup: {error}")))?;
        Ok((name, appup.content))
    });
    named.collect()
}

/// Refuses another build under a version that is there before anything of it is sent. What is no
/// manifest is for the store to refuse; what is there by then, for the cluster.
fn refuse_other_content(context: &Context, bytes: &[u8]) -> Result<(), Status> {
    let state = context.local_state()?;
    let Ok(manifest) = Manifest::parse(bytes) else { return Ok(()) };
    let (name, version, offered) = (manifest.name(), manifest.version(), manifest.digest());
    match state.release(name, version) {
        Ok(present) if present.id.manifest != offered && present.pushed_manifest() != offered => {
            let (name, version, present) = (name.clone(), version.clone(), present.id.manifest);
            let rejection = Rejection::ReleaseDiffers { name, version, present, offered };
            Err(context.status(&ControlError::Rejected(rejection)))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The next part of an upload. A caller that sends nothing for long must not keep others from uploading.
async fn next_part(
    parts: &mut Streaming<v1::UploadFilesRequest>,
) -> Result<Option<v1::UploadFilesRequest>, Status> {
    match tokio::time::timeout(UPLOAD_SILENCE, parts.message()).await {
        Ok(part) => part,
        Err(_) => Err(unavailable(format!(
            "nothing came for {}; push again, it goes on where it stopped",
            humantime::format_duration(UPLOAD_SILENCE)
        ))),
    }
}

/// The file that is being received.
#[derive(Default)]
struct Assembly {
    digest: Option<Digest>,
    content: BytesMut,
}

impl Assembly {
    /// Takes the next part; gives the file if that was its last one.
    fn add(&mut self, part: &v1::UploadFilesRequest) -> Result<Option<(Digest, Bytes)>, Status> {
        let digest: Digest = resolve::parse(&part.digest)?;
        if self.digest.is_some_and(|open| open != digest) {
            return Err(invalid(format!("file {digest} begins before the one before it is whole")));
        }
        if self.content.len() + part.chunk.len() > MAX_FILE {
            return Err(invalid(format!("file {digest} is larger than {} MiB", MAX_FILE >> 20)));
        }
        self.digest = Some(digest);
        self.content.extend_from_slice(&part.chunk);
        if !part.last {
            return Ok(None);
        }
        self.digest = None;
        Ok(Some((digest, self.content.split().freeze())))
    }

    /// Nothing more comes.
    fn finish(&self) -> Result<(), Status> {
        match self.digest {
            None => Ok(()),
            Some(digest) => Err(invalid(format!("the upload ended within file {digest}; push again"))),
        }
    }
}

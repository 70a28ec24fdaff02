//! What a node keeps of its identity: one file, written whole and fsynced before it counts, so that
//! key, certificate and ids always belong together. The directory is locked while it is in use.

use super::{
    Candidate, InvalidMembership, InvalidPeer, KeyError, NodeIdentity, PrivateKey, SealingSecret, pem,
};
use crate::ids::{ClusterId, NodeId};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FILE: &str = "identity.json";
const FORMAT: u32 = 1;

/// What the directory holds.
#[derive(Debug)]
pub enum Stored {
    /// A fresh host.
    Empty,
    /// A host that began to join.
    Candidate(Candidate),
    /// A node.
    Member(NodeIdentity),
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file system refused.
    #[error("cannot {what} {path:?}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "state directory {0:?} is in use by another relupd: stop it, or configure a directory of its own"
    )]
    InUse(PathBuf),
    /// Others could read the keys.
    #[error("{path:?} has mode {mode:04o}, which lets others in: run `chmod {expected:04o} {path:?}`")]
    Exposed {
        /// What.
        path: PathBuf,
        /// The mode it has.
        mode: u32,
        /// The mode it must have.
        expected: u32,
    },
    /// Not what we wrote.
    #[error(
        "{path:?} is damaged ({what}): restore the state directory from a backup, or empty it and join as a new node"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Key in the file is damaged.
    #[error("{path:?} holds no usable key")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Certificate in the file is damaged.
    #[error("{path:?} holds no usable certificate")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: InvalidPeer,
    },
    /// Written by a newer relupd.
    #[error("{path:?} has format {found}, this relupd knows {FORMAT}: install the newer relupd again")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Somebody else's.
    #[error(
        "state directory {path:?} belongs to node {found:?}, and this is node {expected:?}: point `state` to this node's own directory, or remove that node and empty the directory"
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        expected: String,
    },
    /// Of a node of another cluster.
    #[error(
        "state directory {path:?} belongs to cluster {found}, not to {expected}: remove the node there first and empty the directory"
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: ClusterId,
        /// What was asked for.
        expected: ClusterId,
    },
}

/// The part of the state directory that holds the identity. Locked until dropped.
#[derive(Debug)]
pub struct IdentityDirectory {
    path: PathBuf,
    _lock: File,
}

impl IdentityDirectory {
    /// Opens the directory, makes it if it is missing, and locks it.
    ///
    /// # Errors
    /// When it is in use, others can read it, or the file system refuses.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(io_error("create", path))?;
        refuse_exposed(path, 0o700)?;
        let lock = File::open(path).map_err(io_error("open", path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            if errno == rustix::io::Errno::WOULDBLOCK {
                DirectoryError::InUse(path.to_owned())
            } else {
                io_error("lock", path)(errno.into())
            }
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Reads what is there, for the node of this name.
    ///
    /// # Errors
    /// When it is another node's, damaged, or readable by others.
    pub fn load(&self, name: &str) -> Result<Stored, DirectoryError> {
        let file = self.file();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::Empty),
            Err(error) => return Err(io_error("read", &file)(error)),
        };
        refuse_exposed(&file, 0o600)?;
        let content: Content =
            serde_json::from_str(&text).map_err(|_| self.damaged("it is not the JSON that relupd writes"))?;
        if content.format > FORMAT {
            return Err(DirectoryError::Newer { path: file, found: content.format });
        }
        if content.name != name {
            let (found, expected) = (content.name, name.to_owned());
            return Err(DirectoryError::OtherNode { path: self.path.clone(), found, expected });
        }
        self.parse(content)
    }

    /// The file's own text, for a backup. It has secrets.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn text(&self) -> Result<String, DirectoryError> {
        let file = self.file();
        fs::read_to_string(&file).map_err(io_error("read", &file))
    }

    /// Such a text, as the member that it is of. Nothing is kept.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse_member(&self, text: &str) -> Result<NodeIdentity, DirectoryError> {
        let content =
            serde_json::from_str(text).map_err(|_| self.damaged("it is not the JSON that relupd writes"))?;
        match self.parse(content)? {
            Stored::Member(identity) => Ok(identity),
            Stored::Empty | Stored::Candidate(_) => Err(self.damaged("it is of a host that is no node yet")),
        }
    }

    /// Takes a backup's identity for this host's, which was in no cluster.
    ///
    /// # Errors
    /// When a member is there, or the file system refuses.
    pub fn take_over(&self, identity: &NodeIdentity) -> Result<(), DirectoryError> {
        if let Stored::Member(_) = self.load(&identity.name)? {
            return Err(self.damaged("a backup must not replace a member"));
        }
        self.write(&Content::of(&identity.clone().into_candidate(), Some(identity)))
    }

    /// Keeps a candidate. Refuses to overwrite a member: leaving a cluster is another matter.
    ///
    /// # Errors
    /// When a member is there, or the file system refuses.
    pub fn store_candidate(&self, candidate: &Candidate) -> Result<(), DirectoryError> {
        if let Stored::Member(_) = self.load(&candidate.name)? {
            return Err(self.damaged("a candidate must not replace a member"));
        }
        self.write(&Content::of(candidate, None))
    }

    /// Keeps a member. Refuses to overwrite another node or a node of another cluster.
    ///
    /// # Errors
    /// When somebody else's identity is there, or the file system refuses.
    pub fn store(&self, identity: &NodeIdentity) -> Result<(), DirectoryError> {
        if let Stored::Member(present) = self.load(&identity.name)? {
            self.expect_cluster(&present, identity.cluster)?;
            if present.node != identity.node {
                let (found, expected) = (present.node.to_string(), identity.node.to_string());
                return Err(DirectoryError::OtherNode { path: self.path.clone(), found, expected });
            }
        }
        self.write(&Content::of(&identity.clone().into_candidate(), Some(identity)))
    }

    /// For who is about to join `cluster`: a member of another one must leave that first.
    ///
    /// # Errors
    /// [`DirectoryError::OtherCluster`].
    pub fn expect_cluster(&self, present: &NodeIdentity, cluster: ClusterId) -> Result<(), DirectoryError> {
        if present.cluster == cluster {
            return Ok(());
        }
        Err(DirectoryError::OtherCluster {
            path: self.path.clone(),
            found: present.cluster,
            expected: cluster,
        })
    }

    fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    fn damaged(&self, what: &'static str) -> DirectoryError {
        DirectoryError::Damaged { path: self.file(), what }
    }

    fn parse(&self, content: Content) -> Result<Stored, DirectoryError> {
        let key = PrivateKey::from_pem(&content.private_key)
            .map_err(|source| DirectoryError::Key { path: self.file(), source })?;
        let sealing = data_encoding::HEXLOWER
            .decode(content.sealing_secret.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(SealingSecret::from_bytes)
            .ok_or_else(|| self.damaged("its sealing secret is not 64 hex digits"))?;
        let candidate = Candidate { node: content.node, name: content.name, key, sealing };
        let Some(membership) = content.membership else { return Ok(Stored::Candidate(candidate)) };
        let certificate =
            pem::decode(&membership.certificate).ok_or_else(|| self.damaged("its certificate is not PEM"))?;
        let ca_certificates = membership
            .ca_certificates
            .iter()
            .map(|text| pem::decode(text))
            .collect::<Option<_>>()
            .ok_or_else(|| self.damaged("a CA certificate is not PEM"))?;
        let identity = candidate.admitted(membership.cluster, certificate, ca_certificates);
        identity.map(Stored::Member).map_err(|error| match error {
            InvalidMembership::Certificate(source) => {
                DirectoryError::Certificate { path: self.file(), source }
            }
            InvalidMembership::OtherName { .. } => self.damaged("its certificate is another node's"),
            InvalidMembership::OtherKey => self.damaged("its certificate is for another key"),
            InvalidMembership::NoAuthority => self.damaged("it has no CA certificate"),
        })
    }

    fn write(&self, content: &Content) -> Result<(), DirectoryError> {
        let (file, temporary) = (self.file(), self.path.join("identity.json.tmp"));
        let text = serde_json::to_vec_pretty(content).map_err(|_| self.damaged("it cannot be encoded"))?;
        let _ = fs::remove_file(&temporary); // left by a crash, perhaps with another mode
        let mut output = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(io_error("create", &temporary))?;
        output.write_all(&text).map_err(io_error("write", &temporary))?;
        output.sync_all().map_err(io_error("fsync", &temporary))?;
        fs::rename(&temporary, &file).map_err(io_error("rename to", &file))?;
        File::open(&self.path).and_then(|dir| dir.sync_all()).map_err(io_error("fsync", &self.path))
    }
}

/// The file's content. It has secrets, hence no `Debug`.
#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    node: NodeId,
    name: String,
    private_key: String,
    sealing_secret: String,
    membership: Option<Membership>,
}

#[derive(Serialize, Deserialize)]
struct Membership {
    cluster: ClusterId,
    certificate: String,
    ca_certificates: Vec<String>,
}

impl Content {
    fn of(candidate: &Candidate, member: Option<&NodeIdentity>) -> Self {
        Self {
            format: FORMAT,
            node: candidate.node,
            name: candidate.name.clone(),
            private_key: candidate.key.to_pem(),
            sealing_secret: data_encoding::HEXLOWER.encode(&candidate.sealing.to_bytes()),
            membership: member.map(|member| Membership {
                cluster: member.cluster,
                certificate: pem::encode(&member.certificate),
                ca_certificates: member.ca_certificates.iter().map(|ca| pem::encode(ca)).collect(),
            }),
        }
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Io { what, path, source }
}

fn refuse_exposed(path: &Path, expected: u32) -> Result<(), DirectoryError> {
    let mode = fs::metadata(path).map_err(io_error("read the mode of", path))?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(DirectoryError::Exposed { path: path.to_owned(), mode, expected })
    }
}

#[cfg(test)]
mod tests;

//! `relupctl upgrade`: the keys behind `relupctl cluster upgrade`. Whose packages a host takes is root's word on
//! that host, never the cluster's.

use crate::connection::Target;
use crate::exit::Exit;
use crate::operator_files;
use crate::output::{self, Format};
use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use relupd_release::Digest;
use serde::Serialize;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Where the daemon and root's installer look, unless relupd.toml says otherwise.
const KEYS: &str = "/etc/relupd/upgrade-keys";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the public key that `relupctl cluster upgrade` signs with: your operator's, or --key
    Key {
        #[command(flatten)]
        signer: SignerArgs,
    },
    /// Make a key to sign packages with, for those who have no operator's directory
    NewKey {
        /// Where to; must not exist yet. Keep it secret
        file: PathBuf,
    },
    /// As root on a host: take packages of relupd that this key has signed
    Trust {
        /// What `relupctl upgrade key` has printed
        file: PathBuf,
        /// What to call it [default: the file's name]
        #[arg(long)]
        name: Option<String>,
        /// Where keys are pinned, as `upgrade.keys` in relupd.toml
        #[arg(long, value_name = "DIR", default_value = KEYS)]
        keys: PathBuf,
    },
}

/// Which key signs.
#[derive(Debug, Default, Args)]
pub(crate) struct SignerArgs {
    /// Ed25519 key to sign with, PEM [default: the key of your operator's directory]
    #[arg(long, value_name = "FILE", env = "RELUPCTL_UPGRADE_KEY")]
    key: Option<PathBuf>,
}

/// A key that signs packages.
pub(crate) struct Signer(KeyPair);

impl Signer {
    /// The named key, else that of the operator who asks.
    pub(crate) fn open(args: &SignerArgs, target: &Target) -> anyhow::Result<Self> {
        let pem = match (&args.key, target) {
            (Some(path), _) => {
                fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, Target::Remote(remote)) => operator_files::read(&remote.identity)?.key,
            (None, Target::Socket(_)) => bail!(
                "packages are signed: give a key with --key FILE (`relupctl upgrade new-key` makes one), or use your operator's with --identity DIR"
            ),
        };
        let key = KeyPair::from_pem(&pem).context("the key to sign with cannot be used")?;
        ensure!(key.is_compatible(&PKCS_ED25519), "the key to sign with is not an Ed25519 key");
        Ok(Self(key))
    }

    pub(crate) fn sign(&self, text: &str) -> anyhow::Result<Vec<u8>> {
        self.0.sign(text.as_bytes()).context("cannot sign")
    }

    /// What hosts call it.
    pub(crate) fn fingerprint(&self) -> String {
        Digest::of(self.0.der_bytes()).to_string()
    }
}

/// Runs what asks no daemon.
pub(crate) fn run(command: Command, target: anyhow::Result<Target>, format: Format) -> anyhow::Result<Exit> {
    match command {
        Command::Key { signer } => {
            // With --key nobody has to be an operator.
            let target = if signer.key.is_some() { Target::Socket(PathBuf::new()) } else { target? };
            output::line(Signer::open(&signer, &target)?.0.public_key_pem().trim_end())?;
        }
        Command::NewKey { file } => {
            let key = KeyPair::generate_for(&PKCS_ED25519).context("cannot make a key")?;
            let mut options = File::options();
            let opened = options.write(true).create_new(true).mode(0o600).open(&file);
            let mut opened = opened.with_context(|| format!("cannot make {}", file.display()))?;
            opened.write_all(key.serialize_pem().as_bytes())?;
            opened.sync_all()?;
            format.hint(&format!(
                "keep {} secret; `relupctl upgrade key --key` prints its public half",
                file.display()
            ));
        }
        Command::Trust { file, name, keys } => trust(&file, name, &keys, format)?,
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Trusted {
    file: PathBuf,
    changed: bool,
}

fn trust(file: &Path, name: Option<String>, keys: &Path, format: Format) -> anyhow::Result<()> {
    // Of all of /proc, the owner of this entry is the effective user.
    let own = fs::metadata("/proc/self").context("cannot read /proc")?;
    ensure!(
        own.uid() == 0,
        "whose packages this host installs is for root to say: run it as root on the host"
    );
    let pem = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(
        pem.starts_with("-----BEGIN PUBLIC KEY-----") && pem.lines().count() == 3,
        "{} is not what `relupctl upgrade key` prints",
        file.display()
    );
    let stem = || file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = name.or_else(stem).unwrap_or_default();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    ensure!(
        !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain),
        "{name:?} cannot name a key: give one of letters, digits, - and _ with --name"
    );
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o755)
        .create(keys)
        .with_context(|| format!("cannot make {}", keys.display()))?;
    fs::set_permissions(keys, Permissions::from_mode(0o755))?;
    let path = keys.join(format!("{name}.pem"));
    let changed = match fs::read_to_string(&path) {
        Ok(found) => found != pem,
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    if changed {
        let beside = keys.join(format!(".{name}.new"));
        let mut made = File::options().write(true).create(true).truncate(true).mode(0o644).open(&beside)?;
        made.set_permissions(Permissions::from_mode(0o644))?;
        made.write_all(pem.as_bytes())?;
        made.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(keys)?.sync_all()?;
    }
    format.print(&Trusted { file: path, changed }, |trusted| {
        let state = if trusted.changed { "pinned" } else { "pinned already" };
        format!(
            "{} is {state}: this host takes packages of relupd that it has signed",
            trusted.file.display()
        )
    })
}

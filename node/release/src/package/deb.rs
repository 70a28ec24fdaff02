//! The control file of a Debian package: an `ar` archive whose member `control.tar` or `control.tar.gz`
//! holds it. Nothing is unpacked, and nothing of it is believed to be short.

use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// A control archive holds a few scripts; what is larger is not one of ours.
const MAX_CONTROL: u64 = 4 << 20;

/// What the package says of the format it reads: `Provides: relupd-format (= N)`.
const FORMAT: &str = "relupd-format (= ";

/// What a package says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFacts {
    /// Its name.
    pub name: String,
    /// Its version, Debian revision included.
    pub version: String,
    /// The processor it is for, in Debian's words.
    pub architecture: String,
    /// The newest format of log and snapshots that its daemon reads.
    pub format: u16,
}

/// A file is no package that relupd could come from.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It cannot be read.
    #[error("cannot read the package")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("not a Debian package: {0}")]
    NoPackage(&'static str),
    /// It was packed in another way than relupd's packages are.
    #[error(
        "the package's control archive is {0:?}; relupd's own is control.tar.gz (deploy/debian/build.sh)"
    )]
    Packing(String),
    /// Its control file lacks something.
    #[error("the package's control file has no usable field {0}")]
    Field(&'static str),
}

/// Reads as far as the control file.
///
/// # Errors
/// Where it is no package, or not one of relupd's making.
pub fn read(mut file: impl Read) -> Result<PackageFacts, PackageError> {
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(|error| ends(error, "it is too short"))?;
    if &magic != MAGIC {
        return Err(PackageError::NoPackage("it is no ar archive"));
    }
    loop {
        let (name, size) = member(&mut file)?;
        if name.starts_with("control.tar") {
            if size > MAX_CONTROL {
                return Err(PackageError::NoPackage("its control archive is too large"));
            }
            return facts(&name, file.by_ref().take(size));
        }
        // Members begin at even places. The format's own member comes first and holds four bytes.
        let skipped = io::copy(&mut file.by_ref().take(size + size % 2), &mut io::sink())?;
        if skipped < size {
            return Err(PackageError::NoPackage("it has no control archive"));
        }
    }
}

/// The next member's name and size.
fn member(file: &mut impl Read) -> Result<(String, u64), PackageError> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(|error| ends(error, "it has no control archive"))?;
    let text = std::str::from_utf8(&header).map_err(|_| PackageError::NoPackage("an ar header is broken"))?;
    let (name, size) = (text[..16].trim_end().trim_end_matches('/'), text[48..58].trim_end());
    let size = size.parse().map_err(|_| PackageError::NoPackage("an ar header is broken"))?;
    Ok((name.to_owned(), size))
}

fn ends(error: io::Error, what: &'static str) -> PackageError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => PackageError::NoPackage(what),
        _ => PackageError::Read(error),
    }
}

fn facts(name: &str, archive: impl Read) -> Result<PackageFacts, PackageError> {
    let control = match name {
        "control.tar" => control_file(archive)?,
        // What unpacks to more than this is cut off, and then lacks something.
        "control.tar.gz" => control_file(GzDecoder::new(archive).take(MAX_CONTROL))?,
        other => return Err(PackageError::Packing(other.to_owned())),
    };
    let fields = fields(&control);
    let field = |name: &'static str| fields.get(name).copied().ok_or(PackageError::Field(name));
    let provides = field("Provides")?;
    let format = provides.split(',').find_map(|word| word.trim().strip_prefix(FORMAT)?.strip_suffix(')'));
    Ok(PackageFacts {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        architecture: field("Architecture")?.to_owned(),
        format: format
            .and_then(|number| number.parse().ok())
            .ok_or(PackageError::Field("Provides: relupd-format"))?,
    })
}

fn control_file(archive: impl Read) -> Result<String, PackageError> {
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.path()?.file_name().is_some_and(|name| name == "control") {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            if (text.len() as u64) < entry.size() {
                return Err(PackageError::NoPackage("its control file is cut off"));
            }
            return Ok(text);
        }
    }
    Err(PackageError::NoPackage("it has no control file"))
}

/// Fields of one line each; a description goes on, and is not asked for.
fn fields(control: &str) -> BTreeMap<&str, &str> {
    let lines = control.lines().filter(|line| !line.starts_with([' ', '\t']));
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    const CONTROL: &str = "Package: relupd\nVersion: 0.2.0-1\nArchitecture: amd64\nProvides: x, relupd-format (= 2)\nDescription: rolls\n Version: 9\n";

    fn package(control: &str, member: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(control.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, "./control", control.as_bytes()).unwrap();
        let tar = tar.into_inner().unwrap();
        let content = if member.ends_with(".gz") {
            let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
            gz.write_all(&tar).unwrap();
            gz.finish().unwrap()
        } else {
            tar
        };
        let mut file = MAGIC.to_vec();
        for (name, content) in [("debian-binary", b"2.0\n".as_slice()), (member, &content)] {
            let head = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len());
            assert_eq!(head.len(), HEADER);
            file.extend_from_slice(head.as_bytes());
            file.extend_from_slice(content);
            if content.len() % 2 == 1 {
                file.push(b'\n');
            }
        }
        file
    }

    #[test]
    fn a_package_says_what_it_is() {
        for member in ["control.tar", "control.tar.gz"] {
            let facts = read(package(CONTROL, member).as_slice()).unwrap();
            let expected = PackageFacts {
                name: "relupd".to_owned(),
                version: "0.2.0-1".to_owned(),
                architecture: "amd64".to_owned(),
                format: 2,
            };
            assert_eq!(facts, expected);
        }
    }

    #[test]
    fn what_is_no_package_is_refused_with_a_reason() {
        for (bytes, reason) in [
            (b"!<ar".to_vec(), "too short"),
            (b"\x7fELF............".to_vec(), "no ar archive"),
            (MAGIC.to_vec(), "no control archive"),
            (package(CONTROL, "control.tar.xz"), "control.tar.xz"),
            (package("Package: relupd\nVersion: 1\n", "control.tar"), "Provides"),
            (
                package("Package: a\nVersion: 1\nArchitecture: b\nProvides: relupd-format\n", "control.tar"),
                "relupd-format",
            ),
        ] {
            let error = read(bytes.as_slice()).expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn a_package_that_is_cut_off_is_refused_wherever_it_ends() {
        let whole = package(CONTROL, "control.tar");
        let control = whole.windows(8).position(|at| at == b"Package:").unwrap();
        for end in 0..control + CONTROL.len() {
            assert!(read(&whole[..end]).is_err(), "{end} bytes are taken for a package");
        }
    }
}

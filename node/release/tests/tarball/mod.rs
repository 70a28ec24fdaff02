//! Makes archives, the wicked ones included: headers are written as they are told.

#![allow(dead_code, reason = "each test binary makes its own archives")]

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use tar::{EntryType, Header};

/// Members of a tar file, in order.
#[derive(Default)]
pub(crate) struct Tarball {
    members: Vec<(Header, Vec<u8>, Vec<u8>)>,
}

impl Tarball {
    /// A release `shop`, as small as one can be.
    pub(crate) fn release(version: &str) -> Self {
        let mut tarball = Self::default();
        tarball.file("bin/shop", 0o755, b"#!/bin/sh\n");
        tarball.file("erts-13.1.5/bin/erlexec", 0o755, b"erlexec");
        tarball.file("lib/kernel-8.5.3/ebin/kernel.app", 0o644, b"kernel");
        tarball.file("lib/sasl-4.2/ebin/sasl.app", 0o644, b"sasl");
        tarball.append_release(version);
        tarball
    }

    /// The files that belong to one version alone.
    pub(crate) fn append_release(&mut self, version: &str) {
        let rel = format!(
            "{{release,{{\"shop\",\"{version}\"}},{{erts,\"13.1.5\"}},\
             [{{kernel,\"8.5.3\"}},{{sasl,\"4.2\"}},{{shop,\"{version}\",permanent}}]}}."
        );
        let relup = format!(
            "{{\"{version}\",[{{\"0.1.0\",[],[point_of_no_return]}},{{\"0.0.9\",[],[]}},\
             {{\"0.0.8\",[],[restart_new_emulator]}}],\
             [{{\"0.1.0\",[],[point_of_no_return]}},{{\"0.0.8\",[],[restart_emulator]}}]}}."
        );
        self.file(&format!("releases/{version}/shop.rel"), 0o644, rel.as_bytes());
        self.file(&format!("releases/{version}/relup"), 0o644, relup.as_bytes());
        self.file(&format!("releases/{version}/start.boot"), 0o644, b"boot");
        self.file(&format!("releases/{version}/sys.config"), 0o644, b"[].");
        self.file(&format!("lib/shop-{version}/ebin/shop.app"), 0o644, b"shop");
    }

    pub(crate) fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.raw(EntryType::Regular, name.as_bytes(), b"", mode, content);
    }

    pub(crate) fn and_file(mut self, name: &str, content: &[u8]) -> Self {
        self.file(name, 0o644, content);
        self
    }

    pub(crate) fn link(&mut self, kind: EntryType, name: &str, target: &str) {
        self.raw(kind, name.as_bytes(), target.as_bytes(), 0o777, b"");
    }

    /// A file with its name in a GNU header before it.
    pub(crate) fn gnu_long(&mut self, name: &str, content: &[u8]) {
        self.raw(EntryType::GNULongName, b"././@LongLink", b"", 0o644, format!("{name}\0").as_bytes());
        self.file("cut", 0o644, content);
    }

    /// A file with pax keywords in a header before it.
    pub(crate) fn pax(&mut self, pairs: &[(&str, &str)], content: &[u8]) {
        let records: String = pairs.iter().map(|(key, value)| pax_record(key, value)).collect();
        self.raw(EntryType::XHeader, b"pax", b"", 0o644, records.as_bytes());
        self.file("cut", 0o644, content);
    }

    /// Any member, unchecked.
    pub(crate) fn raw(&mut self, kind: EntryType, name: &[u8], target: &[u8], mode: u32, content: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        let old = header.as_old_mut();
        old.linkname[..target.len()].copy_from_slice(target);
        self.members.push((header, name.to_vec(), content.to_vec()));
    }

    pub(crate) fn with_prefix(mut self, prefix: &str) -> Self {
        for (_, name, _) in &mut self.members {
            name.splice(..0, prefix.bytes());
        }
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        self.members.retain(|(_, name, _)| name != path.as_bytes());
        self
    }

    pub(crate) fn unpacked(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (header, name, content) in &self.members {
            let mut header = header.clone();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    pub(crate) fn packed(&self) -> Vec<u8> {
        gzip(&self.unpacked())
    }
}

/// `"LENGTH KEY=VALUE\n"`, where the length counts its own digits.
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length += 1;
    }
    format!("{length}{rest}")
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

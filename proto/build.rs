//! Compiles every `.proto` below `relupd/`; protox parses them, so no protoc is needed. What
//! relupctl speaks can also be written as JSON, with names instead of enum numbers and RFC 3339
//! instead of seconds: `src/json.rs` has the functions that the attributes name.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use tonic_prost_build::Builder;

/// The package that gets JSON, as a path within the descriptors.
const API: &str = ".relupd.api.v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=relupd");
    let mut files = Vec::new();
    collect(Path::new("relupd"), &mut files)?;
    files.sort();
    let descriptors = protox::compile(&files, ["."])?;
    let builder = tonic_prost_build::configure().include_file("relupd.rs");
    with_json(builder, &descriptors).compile_fds(descriptors)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

fn with_json(builder: Builder, descriptors: &FileDescriptorSet) -> Builder {
    let mut builder = builder
        .btree_map(API)
        .type_attribute(API, "#[derive(serde::Serialize)]")
        .enum_attribute(API, "#[serde(rename_all = \"snake_case\")]");
    for file in descriptors.file.iter().filter(|file| Some(file.package()) == API.strip_prefix('.')) {
        for message in &file.message_type {
            for field in &message.field {
                if let Some(function) = serializer(field) {
                    let path = format!("{API}.{}.{}", message.name(), field.name());
                    let attribute = format!("#[serde(serialize_with = \"{function}\")]");
                    builder = builder.field_attribute(path, attribute);
                }
            }
        }
    }
    builder
}

/// The function of `src/json.rs` that writes this field, where serde's own way would not do.
fn serializer(field: &FieldDescriptorProto) -> Option<String> {
    let name = field.type_name().rsplit('.').next()?;
    match (field.r#type(), field.type_name()) {
        (Type::Enum, _) if field.label() == Label::Repeated => {
            Some(format!("crate::json::enumerations::<{name}, _>"))
        }
        (Type::Enum, _) => Some(format!("crate::json::enumeration::<{name}, _>")),
        (Type::Message, ".google.protobuf.Timestamp" | ".google.protobuf.Duration") => {
            Some("crate::json::text".to_owned())
        }
        _ => None,
    }
}

//! Wire and disk formats of relupd. Generated code, one module a package: `api::v1` is what
//! relupctl speaks, `peer::v1` what daemons speak to each other, `log::v1` what is on disk.

mod json;

mod generated {
    include!(concat!(env!("OUT_DIR"), "/relupd.rs"));
}

pub use generated::relupd::*;

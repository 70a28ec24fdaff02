//! Who is who: the cluster's CA, certificates, join tokens.

pub mod token;

//! How the fields of `api::v1` look in JSON where serde's own way would not do: enums by name, times
//! as RFC 3339. Named by the attributes that `build.rs` puts on the generated types.

use serde::{Serialize, Serializer};
use std::fmt::Display;

/// An enum field by its value's name; a number where this build does not know the value.
pub(crate) fn enumeration<E, S>(value: &i32, serializer: S) -> Result<S::Ok, S::Error>
where
    E: TryFrom<i32> + Serialize,
    S: Serializer,
{
    match E::try_from(*value) {
        Ok(known) => known.serialize(serializer),
        Err(_) => serializer.serialize_i32(*value),
    }
}

/// As `enumeration`, for a repeated field.
pub(crate) fn enumerations<E, S>(values: &[i32], serializer: S) -> Result<S::Ok, S::Error>
where
    E: TryFrom<i32> + Serialize,
    S: Serializer,
{
    serializer.collect_seq(values.iter().filter_map(|value| E::try_from(*value).ok()))
}

/// A time or a duration as text; null where there is none.
pub(crate) fn text<T, S>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Display,
    S: Serializer,
{
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

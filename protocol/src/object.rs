//! Objects that are objects: serde reads a struct from a list of its fields, too, and no description of ours says so.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// What is read from a JSON object, and from nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Object<T>(pub T);

/// Reads a field as an [`Object`], for `#[serde(deserialize_with = …)]`.
///
/// # Errors
/// When it is no object, or not the one that is looked for.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(read)| read)
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    struct Pair {
        one: u8,
        #[serde(default)]
        two: u8,
    }

    #[test]
    fn a_list_of_fields_is_no_object() {
        let read = |json| serde_json::from_str::<Object<Pair>>(json).map(|Object(pair)| pair);
        assert!(serde_json::from_str::<Pair>("[1,2]").is_ok(), "serde takes it");
        assert_eq!(read(r#"{"two":2,"one":1}"#).unwrap(), Pair { one: 1, two: 2 });
        for other in ["[1,2]", "[]", "1", "\"one\"", "null"] {
            let refused = read(other).unwrap_err().to_string();
            assert!(refused.contains("expected an object"), "{other}: {refused}");
        }
        assert!(read("{}").unwrap_err().to_string().contains("missing field `one`"));
        assert_eq!(serde_json::from_str::<Option<Object<Pair>>>("null").unwrap(), None);
    }
}

//! JSON in which no object has a field twice: of two readers each might take another one.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Most fields of one object.
const FIELDS_MAX: usize = 256;

/// Any JSON whose objects have each field once, and not too many.
#[derive(Debug, PartialEq)]
pub(super) struct Distinct(pub(super) Value);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Distinct, D::Error> {
        deserializer.deserialize_any(Anything).map(Distinct)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Distinct(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Distinct(value))) = object.next_entry::<String, Distinct>()? {
            if fields.len() == FIELDS_MAX {
                return Err(A::Error::custom(format!("an object has at most {FIELDS_MAX} fields")));
            }
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("an object has a field twice"));
            }
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_each_field_once_reads_as_it_is() {
        let json = r#"{"a":[null,true,-1,18446744073709551615,0.5,"x\n",{}],"b":{"a":1}}"#;
        let Distinct(read) = serde_json::from_str(json).unwrap();
        assert_eq!(read, serde_json::from_str::<Value>(json).unwrap());
    }

    #[test]
    fn a_field_that_is_written_twice_is_refused_wherever_it_stands() {
        for json in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert!(serde_json::from_str::<Distinct>(json).is_err(), "{json}");
        }
        let many = |count: usize| {
            let fields: Vec<String> = (0..count).map(|at| format!("\"{at}\":1")).collect();
            serde_json::from_str::<Distinct>(&format!("{{{}}}", fields.join(","))).is_ok()
        };
        assert_eq!([FIELDS_MAX, FIELDS_MAX + 1].map(many), [true, false]);
    }
}

//! Vectors: the two ways in which embeddings are written, as lists of numbers and as Base64.
//!
//! A model server is asked for lists. Some never write Base64 and some always do, so whoever has asked is given what he
//! has asked for here.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::value::{RawValue, to_raw_value};

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As lists of numbers.
    #[default]
    Float,
    /// As Base64 of their numbers, each in four bytes (IEEE 754), the lowest first.
    Base64,
}

/// Bytes of a number.
const NUMBER_BYTES: usize = 4;

/// Returns an answer's `data` with its vectors written so; `None` where one of them is no vector.
pub fn written(data: &RawValue, encoding: Encoding) -> Option<Cow<'_, RawValue>> {
    let mut rows: Vec<BTreeMap<Cow<'_, str>, &RawValue>> = serde_json::from_str(data.get()).ok()?;
    let vectors: Option<Vec<Option<Box<RawValue>>>> =
        rows.iter().map(|row| rewritten(row.get("embedding")?, encoding)).collect();
    let vectors = vectors?;
    if vectors.iter().all(Option::is_none) {
        return Some(Cow::Borrowed(data));
    }
    for (row, vector) in rows.iter_mut().zip(&vectors) {
        if let Some(vector) = vector {
            row.insert("embedding".into(), vector);
        }
    }
    to_raw_value(&rows).ok().map(Cow::Owned)
}

/// Writes a vector the other way where that is asked for; an inner `None` leaves it as it is.
fn rewritten(vector: &RawValue, encoding: Encoding) -> Option<Option<Box<RawValue>>> {
    let is_text = vector.get().starts_with('"');
    match encoding {
        Encoding::Base64 if !is_text => {
            let numbers: Vec<f32> = serde_json::from_str(vector.get()).ok()?;
            if !numbers.iter().all(|number| number.is_finite()) {
                return None;
            }
            let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
            to_raw_value(&STANDARD.encode(bytes)).ok().map(Some)
        }
        Encoding::Float if is_text => {
            let text: Cow<'_, str> = serde_json::from_str(vector.get()).ok()?;
            let bytes = STANDARD.decode(&*text).ok()?;
            let (numbers, rest) = bytes.as_chunks::<NUMBER_BYTES>();
            let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let is_whole = rest.is_empty() && numbers.iter().all(|number| number.is_finite());
            is_whole.then(|| to_raw_value(&numbers).ok().map(Some))?
        }
        Encoding::Float | Encoding::Base64 => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: &str =
        r#"[{"index":0,"embedding":[0.5,-2,1e-3],"object":"embedding"},{"embedding":[],"index":1}]"#;
    /// The same numbers.
    const TEXTS: &str =
        r#"[{"embedding":"AAAAPwAAAMBvEoM6","index":0,"object":"embedding"},{"embedding":"","index":1}]"#;

    fn told(data: &str, encoding: Encoding) -> Option<String> {
        let data: &RawValue = serde_json::from_str(data).unwrap();
        written(data, encoding).map(|data| data.get().to_owned())
    }

    #[test]
    fn vectors_are_written_as_they_are_asked_for_whichever_way_they_came() {
        assert_eq!(told(LISTS, Encoding::Float).as_deref(), Some(LISTS), "what is right stays as it is");
        for data in [LISTS, TEXTS] {
            assert_eq!(told(data, Encoding::Base64).as_deref(), Some(TEXTS));
        }
        let numbers = told(TEXTS, Encoding::Float).unwrap();
        assert!(numbers.contains("[0.5,-2.0,0.001]"), "{numbers}");
    }

    #[test]
    fn what_is_no_vector_is_never_said_to_be_one() {
        for (data, encoding) in [
            (r#"{}"#, Encoding::Float),
            (r#"[{"index":0}]"#, Encoding::Float),
            (r#"[{"embedding":[[0.5]]}]"#, Encoding::Base64),
            (r#"[{"embedding":null}]"#, Encoding::Base64),
            (r#"[{"embedding":[1e39]}]"#, Encoding::Base64),
            (r#"[{"embedding":"AAAA"}]"#, Encoding::Float),
            (r#"[{"embedding":"AADAfw=="}]"#, Encoding::Float),
            (r#"[{"embedding":"no Base64"}]"#, Encoding::Float),
        ] {
            assert_eq!(told(data, encoding), None, "{data}");
        }
    }
}

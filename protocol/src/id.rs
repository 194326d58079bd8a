//! Ids: 128-bit ULIDs that print with a prefix, so that one kind is never taken for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is `{prefix}` and 26 characters")]
pub struct BadId {
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// What the printed form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id of a moment in milliseconds since the Unix epoch (48 bits are kept)
            /// and 80 bits of randomness. Ids made later sort later.
            pub fn new(unix_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(unix_ms, random).0)
            }

            /// Takes the 128 bits as they are.
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// Returns the 128 bits.
            pub const fn bits(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; ulid::ULID_LEN];
                f.write_str($prefix)?;
                f.write_str(Ulid(self.0).array_to_str(&mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix($prefix)
                    .and_then(|rest| Ulid::from_string(rest).ok())
                    .map(|ulid| Self(ulid.0))
                    .ok_or(BadId { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("an id that begins with ", $prefix))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

id!(
    /// One request on its way to its answer.
    JobId, "job_"
);
id!(
    /// An owner's installed extension or node: a registered identity with a key.
    PluginId, "plg_"
);
id!(
    /// One live connection of a plugin.
    SessionId, "ses_"
);
id!(
    /// A page's account: the purse behind one or more API keys.
    AccountId, "acc_"
);
id!(
    /// Friends who share their GPUs.
    GroupId, "grp_"
);
id!(
    /// Owners who are counted together among the leaders.
    TeamId, "team_"
);
id!(
    /// A phone that an owner has let in to see and steer one plugin.
    PhoneId, "phn_"
);
id!(
    /// Money on its way out to an owner.
    PayoutId, "pay_"
);
id!(
    /// An advertiser's campaign: one ad, its targets, its bid and its budget.
    CampaignId, "cmp_"
);
id!(
    /// One ad beside one answer, from the moment it is chosen.
    ImpressionId, "imp_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_with_its_prefix_and_reads_itself_back() {
        let id = JobId::new(1_700_000_000_000, 42);
        let text = id.to_string();
        assert!(text.starts_with("job_01HF"));
        assert_eq!(text.len(), 30);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(serde_json::from_str::<JobId>(&format!("\"{text}\"")).unwrap(), id);
    }

    #[test]
    fn refuses_the_id_of_another_kind_and_nonsense() {
        let text = PluginId::new(1, 2).to_string();
        assert!(text.parse::<JobId>().is_err());
        for bad in ["", "job_", "job_01", "job_zzzzzzzzzzzzzzzzzzzzzzzzz!", "JOB_01HF7YAT00"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn later_ids_sort_later() {
        assert!(JobId::new(1, u128::MAX) < JobId::new(2, 0));
    }
}

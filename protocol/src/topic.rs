//! Topics: what requests are about, as far as anybody asks: advertisers who choose categories, and owners
//! who refuse some of them.

mod category;
mod subject;

use std::{
    fmt,
    ops::{BitAnd, BitOr},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess},
};

pub use category::{BadCategory, Category};
pub use subject::Subject;

/// A set of topics: what a request is about, or what an owner refuses. In JSON a list of their names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Topics(u32);

/// Why a text names no topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a topic is a category or a sensitive subject by its name, or `unread`")]
pub struct BadTopic;

const CATEGORIES: usize = Category::ALL.len();

/// How many topics there are.
pub const TOPICS_MAX: usize = CATEGORIES + Subject::ALL.len() + 1;

impl Topics {
    /// No topic.
    pub const NONE: Topics = Topics(0);

    /// What nobody can tell: pictures, a text that is longer than what is read, another language.
    pub const UNREAD: Topics = Topics(1 << (TOPICS_MAX - 1));

    /// Returns the topic of a name.
    pub fn named(name: &str) -> Result<Topics, BadTopic> {
        Topics::each().find(|topic| topic.name() == name).ok_or(BadTopic)
    }

    /// Returns the names, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Topics::each().filter(move |topic| self.touches(*topic)).map(Topics::name)
    }

    /// Returns every topic by itself, in a fixed order.
    pub fn each() -> impl Iterator<Item = Topics> {
        (0..TOPICS_MAX).map(|place| Topics(1 << place))
    }

    /// Tells whether there is a topic in both.
    pub const fn touches(self, other: Topics) -> bool {
        self.0 & other.0 != 0
    }

    /// Tells whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Returns the name of the first topic.
    fn name(self) -> &'static str {
        let place = self.0.trailing_zeros() as usize;
        match (Category::ALL.get(place), Subject::ALL.get(place.wrapping_sub(CATEGORIES))) {
            (Some(category), _) => category.name(),
            (None, Some(subject)) => subject.name(),
            (None, None) => "unread",
        }
    }
}

impl From<Category> for Topics {
    fn from(category: Category) -> Topics {
        Topics(1 << category.place())
    }
}

impl From<Subject> for Topics {
    fn from(subject: Subject) -> Topics {
        Topics(1 << (CATEGORIES + subject.place()))
    }
}

impl BitOr for Topics {
    type Output = Topics;

    fn bitor(self, other: Topics) -> Topics {
        Topics(self.0 | other.0)
    }
}

impl BitAnd for Topics {
    type Output = Topics;

    fn bitand(self, other: Topics) -> Topics {
        Topics(self.0 & other.0)
    }
}

impl FromIterator<Topics> for Topics {
    fn from_iter<I: IntoIterator<Item = Topics>>(topics: I) -> Topics {
        topics.into_iter().fold(Topics::NONE, Topics::bitor)
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Serialize for Topics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for Topics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Topics, D::Error> {
        struct Names;
        impl<'de> de::Visitor<'de> for Names {
            type Value = Topics;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {TOPICS_MAX} names of topics")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Topics, A::Error> {
                let mut topics = Topics::NONE;
                let mut count = 0;
                while let Some(name) = names.next_element::<std::borrow::Cow<'de, str>>()? {
                    count += 1;
                    if count > TOPICS_MAX {
                        return Err(de::Error::invalid_length(count, &self));
                    }
                    topics = topics | Topics::named(&name).map_err(de::Error::custom)?;
                }
                Ok(topics)
            }
        }
        deserializer.deserialize_seq(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_name_of_its_own_and_reads_back() {
        let names: Vec<_> = Topics::each().flat_map(Topics::names).collect();
        assert_eq!(names.len(), TOPICS_MAX);
        for (topic, name) in Topics::each().zip(&names) {
            assert_eq!(Topics::named(name), Ok(topic));
        }
        assert_eq!(Topics::named("politics"), Ok(Subject::Politics.into()));
        assert_eq!(Topics::named("travel"), Ok(Category::Travel.into()));
        assert_eq!(Topics::named("unread"), Ok(Topics::UNREAD));
        assert_eq!(Topics::named("weather"), Err(BadTopic));
    }

    #[test]
    fn a_set_is_a_list_of_names_and_a_long_or_unknown_one_is_refused() {
        let topics = Topics::from(Subject::Violence) | Category::Food.into() | Topics::UNREAD;
        let text = r#"["food","violence","unread"]"#;
        assert_eq!(serde_json::to_string(&topics).unwrap(), text);
        assert_eq!(serde_json::from_str::<Topics>(text).unwrap(), topics);
        assert_eq!(serde_json::from_str::<Topics>("[]").unwrap(), Topics::NONE);
        let long = serde_json::to_string(&vec!["food"; TOPICS_MAX + 1]).unwrap();
        for wrong in [r#"["weather"]"#, r#""food""#, "[1]", &long] {
            assert!(serde_json::from_str::<Topics>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sets_touch_where_they_share_a_topic() {
        let (one, both) =
            (Topics::from(Subject::Grief), Topics::from(Subject::Grief) | Category::Home.into());
        assert!(both.touches(one) && !one.touches(Category::Home.into()) && !both.touches(Topics::NONE));
        assert_eq!(both & one, one);
        assert!(Topics::NONE.is_empty() && !one.is_empty());
    }
}

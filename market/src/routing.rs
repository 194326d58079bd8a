//! Routing: a page's own wishes about who answers, in the terms of `OpenRouter`'s `provider` object.

use rekursing_protocol::PluginId;

/// What the page would rather have than the market's own choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The lowest price: a million prompt tokens and a million answer tokens together.
    Price,
    /// The highest speed that was measured.
    Throughput,
    /// The shortest time to the first token that was measured.
    Latency,
}

/// Who may answer, and who should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// The plugins that alone may; empty for all.
    pub only: Vec<PluginId>,
    /// Those that may not.
    pub ignore: Vec<PluginId>,
    /// Those that are asked first, in this order, while they are free.
    pub order: Vec<PluginId>,
    /// Whether others may answer than those of `order`, or, without an order, than the one who was asked first.
    pub allows_fallbacks: bool,
    /// By what alone the best is chosen.
    pub sort: Option<Sort>,
    /// Whether the prompt may go only to those of whom it is known that they keep none: servers of the operator's
    /// own, and plugins of a group that the page is in.
    pub denies_collection: bool,
}

impl Default for Routing {
    fn default() -> Routing {
        Routing {
            only: Vec::new(),
            ignore: Vec::new(),
            order: Vec::new(),
            allows_fallbacks: true,
            sort: None,
            denies_collection: false,
        }
    }
}

impl Routing {
    /// Tells whether a plugin may answer.
    pub(crate) fn admits(&self, plugin: PluginId) -> bool {
        let is_named = self.only.is_empty() || self.only.contains(&plugin);
        let is_ordered = self.allows_fallbacks || self.order.is_empty() || self.order.contains(&plugin);
        is_named && is_ordered && !self.ignore.contains(&plugin)
    }

    /// Tells whether nobody may answer but the one who was asked first.
    pub(crate) fn is_one_chance(&self) -> bool {
        !self.allows_fallbacks && self.order.is_empty()
    }

    /// Tells whether the market's own choice among the best is not what was asked for.
    pub(crate) fn is_particular(&self) -> bool {
        self.sort.is_some() || !self.order.is_empty()
    }

    /// Returns a plugin's place in the order; those that are in none stand behind it.
    pub(crate) fn place(&self, plugin: PluginId) -> usize {
        self.order.iter().position(|named| *named == plugin).unwrap_or(self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_answer_follows_from_the_lists() {
        let [one, two, three] = [1, 2, 3].map(PluginId::from_bits);
        let admitted = |routing: &Routing| [one, two, three].map(|plugin| routing.admits(plugin));
        for (routing, expected) in [
            (Routing::default(), [true, true, true]),
            (Routing { only: vec![one, two], ..Routing::default() }, [true, true, false]),
            (Routing { ignore: vec![two], ..Routing::default() }, [true, false, true]),
            (Routing { only: vec![one, two], ignore: vec![one], ..Routing::default() }, [false, true, false]),
            (Routing { order: vec![three], ..Routing::default() }, [true, true, true]),
            (
                Routing { order: vec![three], allows_fallbacks: false, ..Routing::default() },
                [false, false, true],
            ),
            (Routing { allows_fallbacks: false, ..Routing::default() }, [true, true, true]),
        ] {
            assert_eq!(admitted(&routing), expected, "{routing:?}");
        }
    }

    #[test]
    fn those_without_a_place_stand_behind_the_order() {
        let [one, two, three] = [1, 2, 3].map(PluginId::from_bits);
        let routing = Routing { order: vec![two, one], ..Routing::default() };
        assert_eq!([one, two, three].map(|plugin| routing.place(plugin)), [1, 0, 2]);
    }
}

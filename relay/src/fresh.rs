//! Fresh: what many ask for at once is looked up by one of them, and is good for a while.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use rekursing_protocol::{Moment, Span};

/// What was looked up last, and when; nothing before the first look. Whoever holds it looks.
type Slot<V> = Arc<tokio::sync::Mutex<Option<(Moment, Arc<V>)>>>;

/// What was looked up, by what it is about.
#[derive(Debug)]
pub struct Fresh<K, V> {
    /// How long it is good.
    good: Span,
    /// Of how many it is kept.
    most: usize,
    slots: Mutex<HashMap<K, Slot<V>>>,
}

impl<K: Copy + Eq + Hash, V> Fresh<K, V> {
    /// Keeps nothing yet.
    pub fn new(good: Span, most: usize) -> Fresh<K, V> {
        Fresh { good, most, slots: Mutex::default() }
    }

    /// Returns what is known of something, or looks. Whoever comes meanwhile waits for that look.
    ///
    /// # Errors
    /// Those of the look, of which nothing is kept.
    pub async fn of<E>(
        &self,
        now: Moment,
        key: K,
        look: impl Future<Output = Result<V, E>>,
    ) -> Result<Arc<V>, E> {
        let slot = self.slot(now, key);
        let mut known = slot.lock().await;
        if let Some((at, seen)) = &*known
            && now.since(*at) < self.good
        {
            return Ok(Arc::clone(seen));
        }
        let seen = Arc::new(look.await?);
        *known = Some((now, Arc::clone(&seen)));
        Ok(seen)
    }

    /// Forgets what is known of something: it has changed.
    pub fn forget(&self, key: K) {
        self.slots.lock().remove(&key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.slots.lock().clear();
    }

    fn slot(&self, now: Moment, key: K) -> Slot<V> {
        let mut slots = self.slots.lock();
        if slots.len() >= self.most && !slots.contains_key(&key) {
            slots.retain(|_, slot| {
                // What is held is looked up at this moment.
                let Ok(known) = slot.try_lock() else { return true };
                known.as_ref().is_some_and(|(at, _)| now.since(*at) < self.good)
            });
            if slots.len() >= self.most {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_look_and_so_do_those_who_ask_a_little_later() {
        let (fresh, looks) = (Fresh::new(Span(100), 2), Mutex::new(0));
        let look = async || {
            tokio::task::yield_now().await;
            *looks.lock() += 1;
            Ok::<_, Infallible>(*looks.lock())
        };
        let ask = async |now, key| *fresh.of(Moment(now), key, look()).await.unwrap();
        assert_eq!(tokio::join!(ask(0, 'a'), ask(0, 'a'), ask(0, 'a')), (1, 1, 1));
        assert_eq!((ask(99, 'a').await, ask(100, 'a').await), (1, 2));
        fresh.forget('a');
        assert_eq!(ask(100, 'a').await, 3);
        for key in 'b'..='z' {
            ask(100, key).await;
        }
        assert!(fresh.slots.lock().len() <= 2, "it is kept of so many");
        fresh.clear();
        assert_eq!(ask(100, 'z').await, 29);
    }

    #[tokio::test]
    async fn a_look_that_fails_is_made_again_by_the_next_and_so_is_one_that_is_given_up() {
        let fresh = Fresh::new(Span(100), 2);
        assert_eq!(fresh.of(Moment(0), 'a', async { Err::<u8, _>("no") }).await, Err("no"));
        let never = fresh.of(Moment(0), 'a', std::future::pending::<Result<u8, &str>>());
        drop(tokio::time::timeout(std::time::Duration::ZERO, never).await);
        assert_eq!(fresh.of(Moment(0), 'a', async { Ok::<_, &str>(7) }).await, Ok(Arc::new(7)));
    }
}

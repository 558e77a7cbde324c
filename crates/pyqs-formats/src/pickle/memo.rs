//! `Memo`: the objects that may be referred to again, by number.

use std::collections::BTreeMap;

use super::heap::Item;

/// Numbers are given in sequence by every writer, and may be any in a message.
#[derive(Default)]
pub(super) struct Memo {
    /// Those in sequence from 0; Python 2 begins at 1.
    dense: Vec<Option<Item>>,
    /// All others.
    sparse: BTreeMap<u32, Item>,
    entries: u32,
}

impl Memo {
    pub(super) fn put(&mut self, key: u32, item: Item) {
        let index = key as usize;
        let earlier = if let Some(place) = self.dense.get_mut(index) {
            place.replace(item).or_else(|| self.sparse.remove(&key))
        } else if index <= self.dense.len() + 1 {
            self.dense.resize(index, None);
            self.dense.push(Some(item));
            self.sparse.remove(&key)
        } else {
            self.sparse.insert(key, item)
        };
        if earlier.is_none() {
            self.entries = self.entries.saturating_add(1);
        }
    }

    pub(super) fn get(&self, key: u32) -> Option<Item> {
        let dense = self.dense.get(key as usize).copied().flatten();
        dense.or_else(|| self.sparse.get(&key).copied())
    }

    /// What `MEMOIZE` counts up.
    pub(super) fn next_key(&self) -> u32 {
        self.entries
    }
}

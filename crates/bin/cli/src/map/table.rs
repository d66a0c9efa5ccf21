//! The mapping table as it was read.

use std::collections::BTreeMap;

use runnerless_aws_admin::ports::key;
use runnerless_core::change::Item;
use runnerless_core::lane::TagSet;
use runnerless_core::route::{BadMapRow, LANES_PK, LaneEntry, MapRow};

/// The key of the item that every writer of the mapping moves on: two loads that only together would break a rule meet
/// there. `n` counts.
pub(super) const REVISION: (&str, &str) = ("loader", "revision");

/// A row's `pk` and `sk`.
pub(super) type Key = (String, String);

/// A row that can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// As it stands in the table. Its tags may be in another order than ours.
    pub item: Item,
    /// What it says.
    pub row: MapRow,
}

/// A lane entry.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEntry {
    /// As it stands in the table.
    pub item: Item,
    /// What it says.
    pub entry: LaneEntry,
}

/// The mapping table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Rows by the key that we would give them.
    pub rows: BTreeMap<Key, Stored>,
    /// Lane entries by tag set.
    pub entries: BTreeMap<TagSet, StoredEntry>,
    /// Rows and entries that cannot be read, by the key that they have.
    pub unreadable: BTreeMap<Key, (Item, BadMapRow)>,
    /// Rows that repeat another one with their tags in another order, by the key that they have.
    pub doubled: BTreeMap<Key, Item>,
    /// The item of [`REVISION`].
    pub(super) revision: Option<Item>,
}

impl Table {
    /// Sorts what was read.
    #[must_use]
    pub fn of(items: Vec<Item>) -> Self {
        let mut table = Self::default();
        for item in items {
            // DynamoDB has no items without their keys.
            if let Some((pk, sk)) = key(&item).map(|(pk, sk)| (pk.to_owned(), sk.to_owned())) {
                table.add((pk, sk), item);
            }
        }
        table
    }

    fn add(&mut self, at: Key, item: Item) {
        if (at.0.as_str(), at.1.as_str()) == REVISION {
            self.revision = Some(item);
        } else if at.0 == LANES_PK {
            match LaneEntry::from_item(&item) {
                Ok(entry) => {
                    self.entries.insert(entry.lane.tags.clone(), StoredEntry { item, entry });
                }
                Err(bad) => {
                    self.unreadable.insert(at, (item, bad));
                }
            }
        } else {
            match MapRow::from_item(&item) {
                Ok(row) => self.add_row(at, Stored { item, row }),
                Err(bad) => {
                    self.unreadable.insert(at, (item, bad));
                }
            }
        }
    }

    fn add_row(&mut self, at: Key, stored: Stored) {
        let ours = row_key(&stored.row);
        match self.rows.get(&ours) {
            None => {
                self.rows.insert(ours, stored);
            }
            // The row under its own key is the one that counts.
            Some(_) if at == ours => {
                if let Some(other) = self.rows.insert(ours, stored)
                    && let Some((pk, sk)) = key(&other.item).map(|(pk, sk)| (pk.to_owned(), sk.to_owned()))
                {
                    self.doubled.insert((pk, sk), other.item);
                }
            }
            Some(_) => {
                self.doubled.insert(at, stored.item);
            }
        }
    }

    /// The rows of one tag set.
    pub(super) fn of_tags<'a>(&'a self, tags: &'a TagSet) -> impl Iterator<Item = &'a Stored> {
        self.rows.values().filter(move |stored| stored.row.tags == *tags)
    }
}

/// The key that we give a row: its tags in order.
pub(super) fn row_key(row: &MapRow) -> Key {
    (row.pk(), row.sk())
}

//! Which table holds what about people: every table of the database is named here, with what a copy for its person
//! contains of it and how it is erased, or why it is about nobody or kept. A test compares this with the database's
//! catalogue. Reading the rows is in `export`, counting them in `counts`, what erases them in `erasure`.

mod contents;
mod counts;
mod export;
mod tables;

pub use counts::counts;
pub use export::{Cursor, Page, export_page};
pub use tables::TABLES;

/// A table of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What it holds, in words for the person, without a full stop.
    pub title: &'static str,
    /// Whom it is about, and what becomes of it.
    pub holds: Holds,
}

/// Whom a table is about, and what becomes of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// About people: a copy contains it, and it goes when its person is erased.
    People(Personal),
    /// About a tenant as a whole, or about nobody; with the reason, without a full stop.
    NoPerson(&'static str),
    /// Kept when a person is erased, since it says nothing about anyone; with the reason, without a full stop.
    Kept(&'static str),
}

/// How rows about people are erased, and what of their bytes a copy contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Personal {
    /// How they go.
    pub erased: Erased,
    /// The sealed columns that a copy contains opened.
    pub opened: &'static [&'static str],
    /// The columns that a copy does not contain, each with the reason.
    pub withheld: &'static [(&'static str, &'static str)],
}

/// How rows of a person go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// They are deleted, in batches, in the order of [`TABLES`].
    InBatches,
    /// Their contents are, in the same order; a row without contents stays, which names nobody.
    Emptied,
    /// At the very end, in the transaction that destroys the person's key.
    WithTheKey,
}

/// The tables that are about people.
pub fn people() -> impl Iterator<Item = (&'static Table, &'static Personal)> {
    TABLES.iter().filter_map(|table| match &table.holds {
        Holds::People(personal) => Some((table, personal)),
        Holds::NoPerson(_) | Holds::Kept(_) => None,
    })
}

/// What stays when a person is erased, each with the reason.
pub fn kept() -> impl Iterator<Item = (&'static Table, &'static str)> {
    TABLES.iter().filter_map(|table| match table.holds {
        Holds::Kept(why) => Some((table, why)),
        Holds::People(_) | Holds::NoPerson(_) => None,
    })
}

/// The tables whose rows go in batches, in the order in which they go.
pub(crate) fn erased_in_order() -> impl Iterator<Item = &'static str> {
    people().filter(|(_, personal)| personal.erased != Erased::WithTheKey).map(|(table, _)| table.name)
}

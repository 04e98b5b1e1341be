//! The search index: words to tracks, albums and artists, all in memory.

use std::collections::BTreeMap;

use super::{Album, Artist, Track};
use crate::text::fold;

/// Three word lists, one a kind.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) tracks: Words,
    pub(crate) albums: Words,
    pub(crate) artists: Words,
}

/// Documents of one kind by the words they contain.
#[derive(Debug, Default)]
pub(crate) struct Words {
    postings: BTreeMap<Box<str>, Vec<u32>>,
    documents: Vec<Document>,
}

/// The folded texts of one document, for ranking and field filters.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) title: Box<str>,
    pub(crate) artist: Box<str>,
    pub(crate) album: Box<str>,
    pub(crate) year: u16,
    popularity: u8,
}

impl Index {
    pub(super) fn build(artists: &[Artist], albums: &[Album], tracks: &[Track]) -> Self {
        let names = |positions: &[usize]| {
            fold(&positions.iter().map(|at| artists[*at].name.as_str()).collect::<Vec<_>>().join(" "))
        };
        let year =
            |album: &Album| album.release_date.get(..4).and_then(|year| year.parse().ok()).unwrap_or(0);
        let mut index =
            Self { tracks: Words::default(), albums: Words::default(), artists: Words::default() };
        for track in tracks {
            let album = &albums[track.album];
            index.tracks.add(Document {
                title: fold(&track.full_title()).into(),
                artist: names(&track.artists).into(),
                album: fold(&album.full_title()).into(),
                year: year(album),
                popularity: track.popularity,
            });
        }
        for album in albums {
            let title: Box<str> = fold(&album.full_title()).into();
            index.albums.add(Document {
                artist: names(&album.artists).into(),
                album: title.clone(),
                title,
                year: year(album),
                popularity: album.popularity,
            });
        }
        for artist in artists {
            let name: Box<str> = fold(&artist.name).into();
            index.artists.add(Document {
                artist: name.clone(),
                title: name,
                album: "".into(),
                year: 0,
                popularity: artist.popularity,
            });
        }
        index
    }
}

impl Words {
    fn add(&mut self, document: Document) {
        let position = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        for text in [&document.title, &document.artist, &document.album] {
            for word in text.split(' ').filter(|word| !word.is_empty()) {
                let posting = self.postings.entry(word.into()).or_default();
                if posting.last() != Some(&position) {
                    posting.push(position);
                }
            }
        }
        self.documents.push(document);
    }

    pub(crate) fn document(&self, position: usize) -> &Document {
        &self.documents[position]
    }

    /// Positions of the documents that hold every word, best first; where none holds all, those that hold at
    /// least half. The last word also matches as a beginning, as people type.
    pub(crate) fn search(&self, query: &str) -> Vec<usize> {
        let folded = fold(query);
        let words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Vec::new();
        }
        let mut hits = vec![0_u8; self.documents.len()];
        for (number, word) in words.iter().take(16).enumerate() {
            let mut seen = vec![false; self.documents.len()];
            for posting in self.postings_of(word, number + 1 == words.len()) {
                for position in posting {
                    let position = *position as usize;
                    if !std::mem::replace(&mut seen[position], true) {
                        hits[position] += 1;
                    }
                }
            }
        }
        let best = usize::from(hits.iter().copied().max().unwrap_or(0));
        let wanted = if best == words.len().min(16) { best } else { words.len().min(16).div_ceil(2) };
        if best < wanted || best == 0 {
            return Vec::new();
        }
        let mut found: Vec<(u32, usize)> = (0..hits.len())
            .filter(|position| usize::from(hits[*position]) >= wanted)
            .map(|position| (self.score(position, hits[position], &folded), position))
            .collect();
        found.sort_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
        found.into_iter().map(|(_, position)| position).collect()
    }

    fn postings_of<'a>(
        &'a self,
        word: &'a str,
        as_beginning: bool,
    ) -> impl Iterator<Item = &'a Vec<u32>> + 'a {
        self.postings
            .range::<str, _>((std::ops::Bound::Included(word), std::ops::Bound::Unbounded))
            .take_while(
                move |(found, _)| if as_beginning { found.starts_with(word) } else { &***found == word },
            )
            .map(|(_, posting)| posting)
    }

    fn score(&self, position: usize, hits: u8, query: &str) -> u32 {
        let document = &self.documents[position];
        let title = match () {
            () if *document.title == *query => 1000,
            () if document.title.starts_with(query) => 500,
            () if document.artist.contains(query) => 300,
            () => 0,
        };
        u32::from(hits) * 2000 + title + u32::from(document.popularity)
    }
}

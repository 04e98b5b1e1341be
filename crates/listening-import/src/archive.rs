//! The ZIP: which of its files are parts of the history, in which order, and that it is no bomb.

use std::io::{BufReader, Read, Seek};

use zip::ZipArchive;

use crate::stream;
use crate::{Batch, Form, ImportError};

/// What is read at most. A person's whole history is about 200 MB when unpacked, a twentieth of that when packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files in the ZIP, whatever they are.
    pub files: usize,
    /// Bytes of all parts together, unpacked.
    pub total: u64,
    /// How many times as long a part may be when unpacked.
    pub ratio: u64,
    /// Bytes of one entry.
    pub entry: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 2_000, total: 4 << 30, ratio: 200, entry: 64 << 10 }
    }
}

/// A file of the ZIP that holds plays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Its form.
    pub form: Form,
    /// Its name without folders.
    pub name: String,
    at: usize,
    size: u64,
}

/// An opened data download.
pub struct Archive<R> {
    zip: ZipArchive<R>,
    parts: Vec<Part>,
    limits: Limits,
}

impl<R: Read + Seek> Archive<R> {
    /// Opens it and finds its parts: the extended form before the short one, each in the order of names, so that the same
    /// file has the same parts in the same order.
    ///
    /// # Errors
    /// [`ImportError`] for what is no ZIP, too big by its own account, or has no listening history.
    pub fn open(reader: R, limits: Limits) -> Result<Self, ImportError> {
        let mut zip = ZipArchive::new(reader)?;
        let within = |what, found: u64, most: u64| {
            if found > most { Err(ImportError::TooBig { what, found, most }) } else { Ok(()) }
        };
        within("the number of files", zip.len() as u64, limits.files as u64)?;
        let mut parts = Vec::new();
        let mut total = 0_u64;
        for at in 0..zip.len() {
            let file = zip.by_index_raw(at)?;
            let name = file.name()?.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
            let Some(form) = form_of(&name).filter(|_| file.is_file()) else { continue };
            let (size, packed) = (file.size(), file.compressed_size().max(1));
            within("the ratio of a part", size / packed, limits.ratio)?;
            total = total.saturating_add(size);
            within("the length of all parts", total, limits.total)?;
            parts.push(Part { form, name, at, size });
        }
        if parts.is_empty() {
            return Err(ImportError::NothingInIt);
        }
        parts.sort();
        Ok(Self { zip, parts, limits })
    }

    /// Its parts, in the order in which they are to be read.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Reads a part, and hands what follows after its first `done` entries to `each` in batches; the last one may be empty.
    /// Stops at an error of `each`. Never more than the ZIP says of the part is unpacked.
    ///
    /// # Errors
    /// [`ImportError`], which becomes one of `each`'s.
    pub fn read<E: From<ImportError>>(
        &mut self,
        part: &Part,
        done: u64,
        each: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let file = self.zip.by_index(part.at).map_err(ImportError::from)?;
        // A header that lies about the length is caught here: one byte more shows that there is more.
        let reader = BufReader::with_capacity(64 << 10, file.take(part.size.saturating_add(1)));
        stream::read(reader, part, done, self.limits.entry, each)
    }
}

fn form_of(name: &str) -> Option<Form> {
    let stem = name.strip_suffix(".json")?;
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if stem.starts_with("Streaming_History_Audio_") || stem.starts_with("endsong_") {
        Some(Form::Extended)
    } else if stem.starts_with("StreamingHistory_music_") || numbered("StreamingHistory") {
        Some(Form::Short)
    } else {
        None
    }
}

impl<R> std::fmt::Debug for Archive<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("parts", &self.parts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_their_names() {
        let extended = [
            "Streaming_History_Audio_2019-2020_3.json",
            "Streaming_History_Audio_2024.json",
            "endsong_0.json",
        ];
        assert!(extended.iter().all(|name| form_of(name) == Some(Form::Extended)));
        let short = ["StreamingHistory_music_0.json", "StreamingHistory0.json", "StreamingHistory12.json"];
        assert!(short.iter().all(|name| form_of(name) == Some(Form::Short)));
        let others = [
            "Streaming_History_Video_2019.json",
            "StreamingHistory_podcast_0.json",
            "StreamingHistory_audiobook_0.json",
            "Playlist1.json",
            "ReadMeFirst_ExtendedStreamingHistory.pdf",
            "endsong_0.json.exe",
        ];
        assert!(others.iter().all(|name| form_of(name).is_none()));
    }
}

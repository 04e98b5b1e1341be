//! The keys of blind indexes that a data key has of the one before it. Codes that were stored under an earlier key are
//! found by them, but nothing that it sealed is opened.

use zeroize::Zeroizing;

use crate::digest::hkdf_sha512;

const BLIND_INDEX: &[u8] = b"stagedoor/blind-index/1";
const KEY: usize = 32;

/// By column.
#[derive(Default)]
pub(crate) struct Indexes(Vec<(String, Zeroizing<[u8; KEY]>)>);

impl Indexes {
    /// The key of a column's codes under the data key of those bytes.
    pub(crate) fn derive(data_key: &[u8; 32], column: &str) -> Zeroizing<[u8; KEY]> {
        let mut key = Zeroizing::new([0; KEY]);
        let derived = hkdf_sha512(data_key, BLIND_INDEX, column.as_bytes(), key.as_mut_slice());
        assert!(derived, "32 bytes are within what HKDF-SHA-512 can give");
        key
    }

    pub(crate) fn of(&self, column: &str) -> Option<Zeroizing<[u8; KEY]>> {
        self.0.iter().find(|(of, _)| of == column).map(|(_, key)| key.clone())
    }

    /// `length 1 | column | key 32`, repeated; `None` for none.
    pub(crate) fn to_bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        if self.0.is_empty() {
            return None;
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.0.len() * 80));
        for (column, key) in &self.0 {
            bytes.push(u8::try_from(column.len()).expect("names of columns are short"));
            bytes.extend(column.as_bytes());
            bytes.extend(key.as_slice());
        }
        Some(bytes)
    }

    pub(crate) fn from_bytes(mut rest: &[u8]) -> Option<Self> {
        let mut indexes = Vec::new();
        while let Some((length, after)) = rest.split_first() {
            let (column, after) = after.split_at_checked((*length).into())?;
            let (key, after) = after.split_first_chunk::<KEY>()?;
            indexes.push((std::str::from_utf8(column).ok()?.to_owned(), Zeroizing::new(*key)));
            rest = after;
        }
        Some(Self(indexes))
    }
}

impl FromIterator<(String, Zeroizing<[u8; KEY]>)> for Indexes {
    fn from_iter<I: IntoIterator<Item = (String, Zeroizing<[u8; KEY]>)>>(indexes: I) -> Self {
        Self(indexes.into_iter().collect())
    }
}

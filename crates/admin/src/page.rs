//! Lists in pages. A token says behind which item the next page begins; what it holds is nobody's secret, and whose items
//! are listed is decided at each call anew.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use stagedoor_domain::ErrorCode;
use uuid::Uuid;

use crate::error::AdminError;

/// The most that a page holds.
pub(crate) const MOST: u32 = 500;
/// What a page holds if nobody says.
const USUAL: u32 = 50;

/// How many items a page shall hold.
pub(crate) fn size(wanted: i32) -> Result<u32, AdminError> {
    match u32::try_from(wanted) {
        Ok(0) => Ok(USUAL),
        Ok(wanted) => Ok(wanted.min(MOST)),
        Err(_) => Err(AdminError::field("page_size", format!("It is {wanted}; wanted: 0 to {MOST}."))),
    }
}

/// Where a page begins: behind the item that `T` names, or at the first.
pub(crate) fn after<T: FromStr>(token: &str) -> Result<Option<T>, AdminError> {
    if token.is_empty() {
        return Ok(None);
    }
    let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let position = decoded.and_then(|text| text.parse().ok());
    position.map(Some).ok_or_else(|| {
        AdminError::new(
            ErrorCode::InvalidCursor,
            "page_token: It is none that this list gave out.",
            "Take next_page_token of the page before, or leave it out for the first page.",
        )
    })
}

/// Cuts `items`, of which one more than `size` was asked for, and says how the next page is asked for.
pub(crate) fn cut<T>(items: &mut Vec<T>, size: u32, position: impl Fn(&T) -> String) -> String {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if items.len() <= size {
        return String::new();
    }
    items.truncate(size);
    items.last().map(|last| token(&position(last))).unwrap_or_default()
}

/// A page of `items`, which are few enough to be read at once, in the order of what `key` says of them, which no two share;
/// and how the next one is asked for.
pub(crate) fn of_few<T, K: Ord + fmt::Display + FromStr>(
    mut items: Vec<T>,
    (wanted, token): (i32, &str),
    key: impl Fn(&T) -> K,
) -> Result<(Vec<T>, String), AdminError> {
    let size = size(wanted)?;
    if let Some(after) = after::<K>(token)? {
        items.retain(|item| key(item) > after);
    }
    items.sort_by_key(&key);
    let next_page_token = cut(&mut items, size, |last| key(last).to_string());
    Ok((items, next_page_token))
}

/// What asks for the page behind `position`.
pub(crate) fn token(position: &str) -> String {
    URL_SAFE_NO_PAD.encode(position)
}

/// An item of a list that is in the order of times: when, to the microsecond, and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub at: DateTime<Utc>,
    pub id: Uuid,
}

impl Place {
    /// As the database compares it.
    pub(crate) fn pair(self) -> (DateTime<Utc>, Uuid) {
        (self.at, self.id)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.timestamp_micros(), self.id)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once('.').ok_or(())?;
        let at = micros.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or(())?;
        Ok(Self { at, id: Uuid::try_parse(id).map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_and_its_token_leads_behind_its_last_item() {
        let mut items = vec![3, 5, 8];
        let token = cut(&mut items, 2, ToString::to_string);
        assert_eq!((items, after::<u32>(&token).unwrap()), (vec![3, 5], Some(5)));
        assert_eq!(
            cut(&mut vec![3, 5], 2, ToString::to_string),
            "",
            "no more behind a page that is just full"
        );
        assert_eq!(after::<u32>("").unwrap(), None);
        for foreign in ["5", "!", "\u{e9}", &super::token("five")] {
            let error = after::<u32>(foreign).unwrap_err();
            assert_eq!(error.public.code, ErrorCode::InvalidCursor, "{foreign}");
        }
    }

    #[test]
    fn few_items_have_pages_too_and_none_is_left_out_or_told_twice() {
        let mut told = Vec::new();
        let mut token = String::new();
        loop {
            let (page, next) = of_few(vec![7_u32, 2, 9, 4, 1], (2, &token), |item| *item).unwrap();
            assert!((1..=2).contains(&page.len()), "{page:?}");
            told.extend(page);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(told, [1, 2, 4, 7, 9]);
        assert!(of_few(vec![1_u32], (-1, ""), |item| *item).is_err());
    }

    #[test]
    fn a_place_reads_back_to_the_microsecond() {
        let at = DateTime::from_timestamp_micros(1_763_812_345_678_901).unwrap();
        let place = Place { at, id: Uuid::from_u128(7) };
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", "1", "x.00000000-0000-0000-0000-000000000007", "99999999999999999999.0"] {
            assert_eq!(wrong.parse::<Place>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_page_holds_what_is_wanted_within_bounds() {
        assert_eq!([0, 7, 501].map(|wanted| size(wanted).unwrap()), [50, 7, 500]);
        assert_eq!(size(-1).unwrap_err().violations[0].field, "page_size");
    }
}

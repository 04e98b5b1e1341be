//! `docs/errors.md` against the code: every stable code is explained there, with its HTTP status, and no other is.

use std::collections::BTreeMap;

use stagedoor_domain::ErrorCode;

const DOCUMENT: &str = include_str!("../../docs/errors.md");

#[test]
fn every_error_code_is_documented_and_nothing_else() {
    let mut documented = BTreeMap::new();
    for line in DOCUMENT.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let Some(code) = cells.next().and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`')) else {
            continue;
        };
        let status: u16 = cells.next().unwrap().parse().unwrap_or_else(|_| panic!("{code} has no status"));
        assert_eq!(documented.insert(code.to_owned(), status), None, "{code} stands twice");
        let explained = cells.skip(1).filter(|cell| !cell.is_empty()).count();
        assert!(explained >= 2, "{code} lacks what it means or what to do");
    }
    let known: BTreeMap<_, _> =
        ErrorCode::ALL.iter().map(|code| (code.to_string(), code.http_status())).collect();
    assert_eq!(documented, known);
}

//! Random changes of playlists, and what an answer's list of changes makes of a playlist, worked out apart from the
//! gateway's own code.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::{Value, json};

/// A tool that changes a playlist which holds `held`, and its arguments but for the playlist.
pub(super) fn any_change(
    random: &mut StdRng,
    held: &[String],
    pool: &[String],
    versions: &[u64],
) -> (&'static str, Value) {
    let kind = if held.is_empty() { random.random_range(0..2) } else { random.random_range(0..9) };
    match kind {
        0 => ("playlist_replace", json!({ "tracks": another_list(random, held, pool) })),
        1 | 2 => {
            let mut arguments = json!({ "tracks": some(random, pool, 6) });
            if random.random_bool(0.5) {
                arguments["position"] = random.random_range(0..=held.len()).into();
            }
            if random.random_bool(0.3) {
                arguments["skip_duplicates"] = true.into();
            }
            ("playlist_add", arguments)
        }
        3 => {
            let mut tracks = some(random, held, 3);
            tracks.extend(pool.choose(random).cloned());
            ("playlist_remove", json!({ "tracks": tracks }))
        }
        4 => {
            let count = random.random_range(1..=held.len().min(5));
            let positions: Vec<usize> = (0..count).map(|_| random.random_range(0..held.len())).collect();
            ("playlist_remove", json!({ "positions": positions }))
        }
        5 | 6 => {
            let start = random.random_range(0..held.len());
            let length = random.random_range(1..=held.len() - start);
            let before = random.random_range(0..=held.len());
            ("playlist_reorder", json!({ "start": start, "length": length, "before": before }))
        }
        7 if random.random_bool(0.5) => ("playlist_dedupe", json!({})),
        7 => ("playlist_update", json!({ "name": format!("Name {}", random.random_range(0..5)) })),
        _ => match versions.choose(random) {
            Some(version) if random.random_bool(0.7) => ("playlist_undo", json!({ "to_version": version })),
            _ => ("playlist_undo", json!({})),
        },
    }
}

/// A list that may be much like another, or nothing like it.
pub(super) fn another_list(random: &mut StdRng, held: &[String], pool: &[String]) -> Vec<String> {
    if held.len() < 2 || random.random_bool(0.4) {
        return some(random, pool, 30);
    }
    let mut list = held.to_vec();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=list.len());
        list.insert(at, pool.choose(random).unwrap().clone());
        list.remove(random.random_range(0..list.len()));
    }
    if random.random_bool(0.3) {
        list.shuffle(random);
    }
    list
}

/// Up to so many, some of them perhaps more than once.
pub(super) fn some(random: &mut StdRng, from: &[String], most: usize) -> Vec<String> {
    let count = random.random_range(1..=most);
    (0..count).map(|_| from.choose(random).unwrap().clone()).collect()
}

/// What a playlist that held `before` holds after what an answer tells; `None` if that cannot be.
pub(super) fn applied(before: &[String], told: &Value) -> Option<Vec<String>> {
    if told["count_before"] != before.len() {
        return None;
    }
    let mut after: Vec<Option<String>> = vec![None; usize::try_from(told["count"].as_u64()?).ok()?];
    let mut stays = vec![true; before.len()];
    for run in told["changes"].as_array()? {
        let place = |member: &str| run[member].as_u64().and_then(|place| usize::try_from(place).ok());
        for (step, name) in run["refs"].as_array()?.iter().enumerate() {
            let position = place("position")? + step;
            let (out, into) = match run["change"].as_str()? {
                "removed" => (Some(position), None),
                "added" => (None, Some(position)),
                "moved" => (Some(place("from")? + step), Some(position)),
                _ => return None,
            };
            if let Some(out) = out
                && (*before.get(out)? != *name || !std::mem::replace(&mut stays[out], false))
            {
                return None;
            }
            if let Some(into) = into
                && after.get_mut(into)?.replace(name.as_str()?.to_owned()).is_some()
            {
                return None;
            }
        }
    }
    let mut kept = before.iter().zip(stays).filter(|(_, stays)| *stays).map(|(name, _)| name.clone());
    for place in after.iter_mut().filter(|place| place.is_none()) {
        *place = Some(kept.next()?);
    }
    if kept.next().is_some() { None } else { after.into_iter().collect() }
}

#[test]
fn what_is_told_wrongly_is_found() {
    let before = ["a", "b", "c"].map(str::to_owned);
    let told =
        |changes: Value, count: usize| json!({ "count_before": 3, "count": count, "changes": changes });
    let run = |change: &str, position: usize, name: &str| json!({ "change": change, "position": position, "refs": [name] });
    let list = |text: &str| Some(text.chars().map(String::from).collect::<Vec<_>>());
    assert_eq!(applied(&before, &told(json!([]), 3)), list("abc"));
    assert_eq!(
        applied(&before, &told(json!([run("removed", 1, "b"), run("added", 0, "x")]), 3)),
        list("xac")
    );
    let mut moved = run("moved", 2, "a");
    moved["from"] = 0.into();
    assert_eq!(applied(&before, &told(json!([moved]), 3)), list("bca"));
    let wrong = [(json!([]), 2), (json!([run("removed", 1, "c")]), 2), (json!([run("added", 3, "x")]), 3)];
    for (changes, count) in wrong {
        assert_eq!(applied(&before, &told(changes, count)), None);
    }
}

//! An edit of a Spotify playlist under way. A request with something in it that Spotify has no more is refused whole: it is
//! halved until that is known, and left out. What the playlist holds is taken out to be put back only when Spotify is known
//! to take it: it is added at the end before, where it vanishes with what is taken out.

use std::collections::HashSet;

use stagedoor_domain::{Provider, TenantContext};

use super::Spotify;
use super::edits::step_call;
use super::plan::{Name, Refused, Step, borrowed, plan};
use super::playlists::head;
use super::request::cannot;
use super::wire::Snapshot;
use crate::error::ProviderError;
use crate::features::{Edit, Edited, Entry};
use crate::text;
use crate::types::{Access, Skipped};

/// Most entries of a playlist.
const MOST_ENTRIES: usize = 10_000;
/// Most items of one request.
const BATCH: usize = 100;
/// Most requests of one edit that are refused for what is in them; who names so much that is not there has guessed.
const MOST_REFUSALS: u32 = 60;

pub(super) struct Editing<'a> {
    spotify: &'a Spotify,
    ctx: &'a TenantContext,
    access: &'a Access<'a>,
    id: &'a str,
    /// What the playlist held before.
    original: Vec<Name>,
    /// What it holds by the answers so far.
    entries: Vec<Name>,
    version: Option<String>,
    begun: bool,
    taken: HashSet<Name>,
    refused: Refused,
    refusals: u32,
}

impl<'a> Editing<'a> {
    pub(super) fn new(
        spotify: &'a Spotify,
        (ctx, access): (&'a TenantContext, &'a Access<'a>),
        id: &'a str,
        (held, version): (Vec<Name>, Option<&str>),
    ) -> Self {
        Self {
            spotify,
            ctx,
            access,
            id,
            original: held.clone(),
            entries: held,
            version: version.map(str::to_owned),
            begun: false,
            taken: HashSet::new(),
            refused: Refused::new(),
            refusals: 0,
        }
    }

    pub(super) async fn run(mut self, edit: &Edit) -> Result<Edited, ProviderError> {
        match self.carry_out(edit).await {
            Ok(()) => Ok(self.finish(edit)),
            Err(cause) if !self.begun => Err(cause),
            Err(cause) => {
                let so_far = Box::new(self.finish(edit));
                Err(ProviderError::Interrupted {
                    provider: Provider::Spotify,
                    so_far,
                    cause: Box::new(cause),
                })
            }
        }
    }

    async fn carry_out(&mut self, edit: &Edit) -> Result<(), ProviderError> {
        loop {
            let revised = revised(edit, &self.original, self.entries.len(), &self.refused);
            let steps = plan(&borrowed(&self.entries), &revised, &self.refused)?;
            let unsure = unsure(&steps, (&self.original, self.entries.len()), &self.taken);
            if !unsure.is_empty() {
                self.try_out(&unsure).await?;
            } else if let Some(put) = self.send_all(&steps).await? {
                self.try_out(&put).await?;
            } else {
                return Ok(());
            }
        }
    }

    /// Adds these at the end, to learn what Spotify has no more.
    async fn try_out(&mut self, names: &[Name]) -> Result<(), ProviderError> {
        if !self.begun {
            // Additions do not say on which version they are made.
            let now = head(self.spotify, self.ctx, self.access, self.id).await?.version;
            if self.version.is_some() && now != self.version {
                return Err(ProviderError::Changed { provider: Provider::Spotify });
            }
        }
        for batch in names.chunks(BATCH) {
            self.post(None, batch).await?;
        }
        Ok(())
    }

    /// What to try out if everything was to be replaced at once and something in it was refused, which has changed nothing.
    async fn send_all(&mut self, steps: &[Step]) -> Result<Option<Vec<Name>>, ProviderError> {
        let mut missing = 0;
        for step in steps {
            match step {
                Step::Post(at, names) => {
                    missing += self.post(at.map(|at| at.saturating_sub(missing)), names).await?;
                }
                Step::Put(names) => match self.send(step).await {
                    Err(cause) if is_refusal(&cause) => {
                        let mut seen = HashSet::new();
                        let unknown = names.iter().filter(|name| !self.taken.contains(*name));
                        let unknown: Vec<Name> = unknown.filter(|name| seen.insert(*name)).cloned().collect();
                        if unknown.is_empty() {
                            return Err(cause);
                        }
                        self.count_refusal(cause).await?;
                        return Ok(Some(unknown));
                    }
                    sent => sent?,
                },
                Step::Delete(_) | Step::Move(..) => self.send(step).await?,
            }
        }
        Ok(None)
    }

    /// Puts in what Spotify takes of these; how many it does not.
    async fn post(&mut self, mut at: Option<usize>, names: &[Name]) -> Result<usize, ProviderError> {
        let before = self.entries.len();
        let mut left = vec![names.to_vec()];
        while let Some(mut batch) = left.pop() {
            batch.retain(|name| !self.refused.contains(name));
            if batch.is_empty() {
                continue;
            }
            let step = Step::Post(at.filter(|at| *at < self.entries.len()), batch.clone());
            match self.send(&step).await {
                Ok(()) => {
                    at = at.map(|at| at + batch.len());
                    self.taken.extend(batch);
                }
                Err(cause) if is_refusal(&cause) => {
                    self.count_refusal(cause).await?;
                    if batch.len() > 1 {
                        let rest = batch.split_off(batch.len().div_ceil(2));
                        left.extend([rest, batch]);
                    } else {
                        self.refuse(batch)?;
                    }
                }
                Err(cause) => return Err(cause),
            }
        }
        Ok(names.len() - (self.entries.len() - before))
    }

    fn refuse(&mut self, names: Vec<Name>) -> Result<(), ProviderError> {
        for name in names {
            if item(&name).is_none() {
                return Err(cannot(format!(
                    "add {}, which it has no more",
                    text::name(&name).unwrap_or_default()
                )));
            }
            self.refused.insert(name);
        }
        Ok(())
    }

    /// Whether it is what was to be added that is not there, not the playlist.
    async fn count_refusal(&mut self, cause: ProviderError) -> Result<(), ProviderError> {
        if self.refusals == 0 {
            head(self.spotify, self.ctx, self.access, self.id).await?;
        }
        self.refusals += 1;
        if self.refusals > MOST_REFUSALS { Err(cause) } else { Ok(()) }
    }

    async fn send(&mut self, step: &Step) -> Result<(), ProviderError> {
        let call = step_call(self.access, self.id, step, self.version.as_deref());
        let answer = self.spotify.http.json::<Snapshot>(self.ctx, &call).await?;
        step.apply(&mut self.entries);
        self.version = text::word(&answer.snapshot_id);
        self.begun = true;
        Ok(())
    }

    fn finish(self, edit: &Edit) -> Edited {
        let wanted = edit.applied(&self.original);
        let count = |list: &[Name], name: &Name| list.iter().filter(|held| *held == name).count();
        let mut seen = HashSet::new();
        let named = wanted.iter().filter(|name| self.refused.contains(*name) && seen.insert(*name));
        let skipped = named
            .filter(|name| count(&wanted, name) != count(&self.entries, name))
            .filter_map(|name| Some(Skipped { item: item(name)?, reason: "not_found".to_owned() }))
            .collect();
        Edited { entries: self.entries.into_iter().map(Entry::new).collect(), skipped, version: self.version }
    }
}

/// Whether a playlist holds `now` after one of the requests of an edit of `current`, if Spotify takes all of them.
pub(super) fn passes(current: &[Name], edit: &Edit, now: &[Name]) -> Result<bool, ProviderError> {
    let (nothing, mut entries) = (Refused::new(), current.to_vec());
    let unsure =
        unsure(&plan(&borrowed(current), edit, &nothing)?, (current, current.len()), &HashSet::new());
    for batch in unsure.chunks(BATCH) {
        entries.extend_from_slice(batch);
        if entries == now {
            return Ok(true);
        }
    }
    let revised = revised(edit, current, entries.len(), &nothing);
    Ok(plan(&borrowed(&entries), &revised, &nothing)?.iter().any(|step| {
        step.apply(&mut entries);
        entries == now
    }))
}

/// What these take out and put back of a playlist that held `original`, and Spotify is not known to take. What does not fit
/// beside what is there cannot be tried out.
fn unsure(steps: &[Step], (original, length): (&[Name], usize), taken: &HashSet<Name>) -> Vec<Name> {
    let held: HashSet<&Name> = original.iter().collect();
    let mut seen = HashSet::new();
    let put_back = steps
        .iter()
        .skip_while(|step| !matches!(step, Step::Put(_) | Step::Delete(_)))
        .filter_map(|step| if let Step::Post(_, names) = step { Some(names) } else { None });
    let unsure: Vec<Name> = put_back
        .flatten()
        .filter(|name| held.contains(name) && !taken.contains(*name) && seen.insert(*name))
        .cloned()
        .collect();
    if length + unsure.len() > MOST_ENTRIES { Vec::new() } else { unsure }
}

/// The edit for a playlist that holds `length` entries, of which the first are the `original` ones and the others were tried
/// out, without what would put in what is refused. Of what is refused, as much stays as is there, unless all of it is to go.
fn revised(edit: &Edit, original: &[Name], length: usize, refused: &Refused) -> Edit {
    match edit {
        Edit::Remove(positions) => {
            let is_gone = |at: usize| u32::try_from(at).is_ok_and(|at| positions.binary_search(&at).is_ok());
            let kept: HashSet<&Name> =
                original.iter().enumerate().filter(|(at, _)| !is_gone(*at)).map(|(_, name)| name).collect();
            let goes = |at: &u32| {
                let name = original.get(*at as usize);
                name.is_none_or(|name| !refused.contains(name) || !kept.contains(name))
            };
            let tried = (original.len()..length).filter_map(|at| u32::try_from(at).ok());
            Edit::Remove(positions.iter().copied().filter(goes).chain(tried).collect())
        }
        Edit::Replace(names) => {
            let mut held: Vec<&Name> = original.iter().filter(|name| refused.contains(*name)).collect();
            let mut wanted = Vec::with_capacity(names.len());
            for name in names {
                let found = held.iter().position(|held| *held == name);
                if let Some(found) = found {
                    held.swap_remove(found);
                }
                if found.is_some() || !refused.contains(name) {
                    wanted.push(name.clone());
                }
            }
            held.retain(|held| wanted.contains(held));
            wanted.extend(held.into_iter().cloned());
            Edit::Replace(wanted)
        }
        Edit::Insert { .. } | Edit::Move { .. } => edit.clone(),
    }
}

fn item(name: &str) -> Option<stagedoor_domain::ItemRef> {
    name.parse().ok()
}

/// Whether a request was refused for what it was to put in: its status differs from time to time.
fn is_refusal(cause: &ProviderError) -> bool {
    let says = |message: &str| {
        let message = message.to_lowercase();
        ["non-existing", "does not exist", "invalid base62", "invalid track uri", "invalid uri"]
            .iter()
            .any(|words| message.contains(words))
    };
    match cause {
        ProviderError::NotFound { .. } => true,
        ProviderError::Rejected { status: 400, message: Some(message), .. } => says(message),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<Name> {
        let kind = |letter: &str| if letter == "L" { "local" } else { "track" };
        list.iter().map(|letter| Name::from(format!("spotify:{}:{letter}", kind(letter)))).collect()
    }

    #[test]
    fn of_what_is_refused_as_much_stays_as_is_there() {
        let held = names(&["x", "a", "x", "b"]);
        let refused = Refused::from_iter(names(&["x", "y"]));
        let revised =
            |edit: &Edit| revised(edit, &held, 5, &refused).applied(&names(&["x", "a", "x", "b", "a"]));
        assert_eq!(revised(&Edit::Remove(vec![2, 3])), names(&["x", "a", "x"]), "half of it cannot go");
        assert_eq!(revised(&Edit::Remove(vec![0, 2])), names(&["a", "b"]));
        let replaced = |list: &[&str]| revised(&Edit::Replace(names(list)));
        assert_eq!(replaced(&["y", "x", "c", "x", "x"]), names(&["x", "c", "x"]));
        assert_eq!(replaced(&["x", "c"]), names(&["x", "c", "x"]));
        assert_eq!(replaced(&["c", "y"]), names(&["c"]));
    }

    #[test]
    fn what_is_taken_out_to_be_put_back_is_tried_out_before() {
        let (held, edit) = (names(&["a", "L", "a"]), Edit::Remove(vec![2]));
        let steps = plan(&borrowed(&held), &edit, &Refused::new()).unwrap();
        assert_eq!(unsure(&steps, (&held, 3), &HashSet::new()), names(&["a"]));
        assert_eq!(unsure(&steps, (&held, 3), &HashSet::from_iter(names(&["a"]))), names(&[]));
        for (passed, now) in [
            (true, &["a", "L", "a", "a"][..]),
            (true, &["L"]),
            (true, &["a", "L"]),
            (false, &["a", "L", "a"]),
            (false, &["L", "a"]),
        ] {
            assert_eq!(passes(&held, &edit, &names(now)).unwrap(), passed, "{now:?}");
        }
    }
}

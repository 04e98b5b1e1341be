//! What a waiting transfer asks a person, as one form (2026-07-28, elicitation in form mode), and what the filled form
//! decides.

use std::collections::BTreeMap;

use rmcp::model::InputRequests;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use stagedoor_tools::{JobState, JobView};

use crate::mcp::music::rendered_structure;
use crate::mcp::surface::Caller;

/// The most tracks that one form asks about; the rest is asked when these are decided.
const MOST: usize = 20;

/// The choice that leaves a track out.
const SKIP: &str = "skip";

/// The part of a transfer's answer that is asked about.
#[derive(Debug, Deserialize)]
struct Waiting {
    report: Report,
}

#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    ambiguous: Vec<Doubtful>,
}

/// A track with several that might be the same at the other service.
#[derive(Debug, Deserialize)]
struct Doubtful {
    position: u32,
    track: Sketch,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(flatten)]
    track: Sketch,
    reason: Option<String>,
}

/// As much of a track as a person tells it apart by.
#[derive(Debug, Deserialize)]
struct Sketch {
    title: String,
    #[serde(default)]
    artists: Vec<String>,
    duration_ms: Option<u64>,
}

impl Sketch {
    fn in_words(&self) -> String {
        let mut words = self.title.clone();
        if !self.artists.is_empty() {
            words = format!("{} – {words}", self.artists.join(", "));
        }
        if let Some(length) = self.duration_ms {
            let seconds = length / 1_000;
            words = format!("{words} ({}:{:02})", seconds / 60, seconds % 60);
        }
        words
    }
}

/// The questions of a job that waits, by key; `None` if the client can show no form or nothing can be asked.
pub(super) fn of(caller: &Caller, job: &JobView) -> Option<InputRequests> {
    let elicitation = caller.capabilities.as_ref()?.elicitation.as_ref()?;
    // A client that names no mode shows forms (2025-06-18 knew no other).
    if elicitation.form.is_none() && elicitation.url.is_some() {
        return None;
    }
    asked(job)
}

fn asked(job: &JobView) -> Option<InputRequests> {
    let doubtful = doubtful(job)?;
    serde_json::from_value(json!({ key(job, &doubtful): form(&doubtful) })).ok()
}

/// The decisions that the answers to those questions make, as `playlist_transfer` takes them; none if the person
/// closed the form, so that it is asked again.
pub(super) fn decisions(job: &JobView, responses: &BTreeMap<String, Value>) -> Result<Vec<Value>, String> {
    let doubtful = match job.state {
        JobState::Waiting => doubtful(job),
        _ => None,
    };
    let doubtful = doubtful.ok_or("The task waits for no answer now.")?;
    let response =
        responses.get(&key(job, &doubtful)).ok_or("There is no answer to the question that is open now.")?;
    match response["action"].as_str() {
        Some("accept") => {}
        Some("decline") => {
            return Ok(doubtful.iter().map(|track| decision(track.position, SKIP)).collect());
        }
        Some("cancel") => return Ok(Vec::new()),
        _ => return Err("`action` must be accept, decline or cancel.".to_owned()),
    }
    let content = &response["content"];
    let decided = doubtful.iter().filter_map(|track| {
        let choice = content[field(track.position)].as_str().filter(|choice| !choice.is_empty())?;
        Some((track, choice))
    });
    let decided: Vec<(&Doubtful, &str)> = decided.collect();
    if decided.is_empty() {
        return Err("The form has no choice in it.".to_owned());
    }
    for (track, choice) in &decided {
        if *choice != SKIP && track.candidates.iter().all(|candidate| candidate.reference != *choice) {
            return Err(format!("`{}` is none of the choices.", field(track.position)));
        }
    }
    Ok(decided.into_iter().map(|(track, choice)| decision(track.position, choice)).collect())
}

/// The tracks that are asked about now.
fn doubtful(job: &JobView) -> Option<Vec<Doubtful>> {
    let waiting: Waiting = rendered_structure(job.answer.as_deref()?)?;
    let mut doubtful = waiting.report.ambiguous;
    doubtful.truncate(MOST);
    (!doubtful.is_empty()).then_some(doubtful)
}

/// The question's key: keys are unique over a task's life, so that an answer which is sent once more decides nothing that
/// nobody was asked. The job has another time of change after each decision; the positions are there to be read.
fn key(job: &JobView, doubtful: &[Doubtful]) -> String {
    let first = doubtful.first().map_or(0, |track| track.position);
    format!("tracks_{first}_{}_{}", doubtful.len(), job.updated_at.timestamp_micros())
}

fn field(position: u32) -> String {
    format!("track_{position}")
}

fn decision(position: u32, choice: &str) -> Value {
    json!({ "position": position, "ref": choice })
}

fn form(doubtful: &[Doubtful]) -> Value {
    let properties = doubtful.iter().map(|track| {
        let mut choices: Vec<Value> = track
            .candidates
            .iter()
            .map(|candidate| {
                let words = candidate.track.in_words();
                let title = match &candidate.reason {
                    Some(reason) => format!("{words}: {reason}"),
                    None => words,
                };
                json!({ "const": candidate.reference, "title": title })
            })
            .collect();
        choices.push(json!({ "const": SKIP, "title": "Leave it out" }));
        let question = json!({
            "type": "string",
            "title": format!("{}. {}", track.position + 1, track.track.in_words()),
            "oneOf": choices,
        });
        (field(track.position), question)
    });
    let properties: Map<String, Value> = properties.collect();
    json!({
        "method": "elicitation/create",
        "params": {
            "mode": "form",
            "message": "Which of these is meant? What is left open is asked again.",
            "requestedSchema": { "type": "object", "properties": properties },
        },
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use stagedoor_domain::JobId;
    use stagedoor_tools::JobKind;

    use super::*;
    use crate::mcp::music::render;

    fn waiting(positions: std::ops::Range<u32>) -> JobView {
        let ambiguous: Vec<Value> = positions
            .map(|position| {
                json!({
                    "position": position,
                    "track": { "ref": "spotify:track:1", "title": "So What", "artists": ["Miles Davis"] },
                    "candidates": [
                        { "ref": "tidal:track:1", "title": "So What (Live)", "duration_ms": 541_000, "reason": "live" },
                        { "ref": "tidal:track:2", "title": "So What", "artists": [] },
                    ],
                })
            })
            .collect();
        let answer =
            render(json!({ "report": { "ambiguous": ambiguous, "matched": 7 } }).to_string().as_bytes());
        JobView {
            id: JobId(uuid::Uuid::nil()),
            kind: JobKind::PlaylistTransfer,
            state: JobState::Waiting,
            done: 0,
            total: None,
            message: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            expires_at: DateTime::UNIX_EPOCH,
            answer: Some(answer),
            error: None,
        }
    }

    fn answered(job: &JobView, response: Value) -> Result<Vec<Value>, String> {
        let (key, _) = asked(job).unwrap().into_iter().next().unwrap();
        decisions(job, &[(key, response)].into())
    }

    #[test]
    fn a_person_chooses_among_what_was_found() {
        let job = waiting(3..5);
        let (_, question) = asked(&job).unwrap().into_iter().next().unwrap();
        let schema = json!(question)["params"]["requestedSchema"]["properties"]["track_3"].clone();
        assert_eq!(schema["title"], "4. Miles Davis – So What");
        assert_eq!(
            schema["oneOf"][0],
            json!({ "const": "tidal:track:1", "title": "So What (Live) (9:01): live" })
        );
        assert_eq!(schema["oneOf"][2]["const"], "skip");

        let choice =
            json!({ "action": "accept", "content": { "track_3": "tidal:track:2", "track_4": "skip" } });
        let decided =
            [json!({ "position": 3, "ref": "tidal:track:2" }), json!({ "position": 4, "ref": "skip" })];
        assert_eq!(answered(&job, choice).unwrap(), decided);
        let some = json!({ "action": "accept", "content": { "track_4": "tidal:track:1" } });
        assert_eq!(answered(&job, some).unwrap(), [json!({ "position": 4, "ref": "tidal:track:1" })]);
        assert_eq!(answered(&job, json!({ "action": "decline" })).unwrap().len(), 2);
        assert!(answered(&job, json!({ "action": "cancel" })).unwrap().is_empty());
    }

    #[test]
    fn nothing_else_is_taken_for_a_choice() {
        let job = waiting(0..1);
        for wrong in [
            json!({ "action": "accept", "content": { "track_0": "tidal:track:9" } }),
            json!({ "action": "accept", "content": {} }),
            json!({ "action": "agree" }),
            json!("accept"),
        ] {
            assert!(answered(&job, wrong.clone()).is_err(), "{wrong}");
        }
        assert!(decisions(&job, &[("other".to_owned(), json!({ "action": "decline" }))].into()).is_err());
        let done = JobView { state: JobState::Running, ..waiting(0..1) };
        assert!(answered(&done, json!({ "action": "decline" })).is_err());
    }

    #[test]
    fn a_form_stays_short_and_the_rest_is_another_question() {
        let (first, next) = (waiting(0..50), waiting(20..50));
        let keys = [&first, &next].map(|job| asked(job).unwrap().into_keys().next().unwrap());
        assert_ne!(keys[0], keys[1]);
        // The first track was left open, so that again as many are asked about from the same one on.
        let later = JobView {
            updated_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::microseconds(1),
            ..waiting(0..50)
        };
        let [key] = [&later].map(|job| asked(job).unwrap().into_keys().next().unwrap());
        assert_ne!(keys[0], key);
        let again = decisions(&later, &[(keys[0].clone(), json!({ "action": "decline" }))].into());
        assert!(again.is_err(), "{again:?}");
        assert_eq!(answered(&first, json!({ "action": "decline" })).unwrap().len(), MOST);
    }
}
